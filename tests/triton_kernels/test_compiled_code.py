"""Every kernel, compiled ahead of time at its real launch parameters, fits the devices it is meant for."""

import pytest
import torch

from benchmarks.gpu_report.machine_code.devices import LIMITS
from benchmarks.gpu_report.triton.calls import attention_calls, cell_calls, decoder_calls, launches_of
from seq2seq_fast.triton_kernels import launch
from tests.support.engines import dtype_name

# float16 and bfloat16 compile to the same but for conversions, so one of them stands for both.
DTYPES = (torch.float32, torch.bfloat16)
# Sizes of training (one query a source, many), of decoding with beams, and of nothing that a power of two divides.
ATTENTION = [(64, 1, 50, 512, 1024), (8, 50, 50, 512, 1024), (256, 4, 400, 1000, 1000), (3, 13, 71, 77, 51)]
# What the Triton kernels are held to; of 86 and 89 the GPU report tells.
CAPABILITIES = (80, 90, 100, 120)
DECODERS = [("gru", True), ("gru", False), ("lstm", True), ("rnn", True)]


def assert_fits(launches, capability):
    assert launches
    for made in launches:
        compiled = made.compile(capability)
        resources = compiled.resources
        told = f"{made.name} {made.constexprs} at {capability}: {resources}"
        assert not resources.spill_bytes, f"spills: {told}"
        assert resources.shared_bytes <= LIMITS[capability].shared_per_block, f"shared memory: {told}"


@pytest.mark.prove
@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
@pytest.mark.parametrize("shape", ATTENTION[:2], ids=str)
def test_attention_kernels_fit_without_spills(shape, dtype, capability):
    assert_fits(launches_of(attention_calls(*shape, dtype, masked=True)), capability)


@pytest.mark.prove
@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("shape", ATTENTION[2:], ids=str)
def test_attention_kernels_of_odd_sizes_fit_without_spills(shape, capability):
    dtype = torch.bfloat16 if capability in (80, 100) else torch.float32
    assert_fits(launches_of(attention_calls(*shape, dtype, masked=True)), capability)


@pytest.mark.prove
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_attention_kernels_of_one_query_without_a_mask_fit(capability):
    launches = launches_of(attention_calls(*ATTENTION[0], torch.float32, masked=False))
    assert_fits([made for made in launches if "one_query" in made.name], capability)


@pytest.mark.prove
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_gradients_of_keys_that_chunks_of_queries_add_up_fit(monkeypatch, capability):
    monkeypatch.setattr(launch, "MANY_SCORES", 0)
    launches = launches_of(attention_calls(*ATTENTION[1], torch.float32, masked=True)[4:])
    accumulating = [made for made in launches if made.arguments.get("ACCUMULATE")]
    assert_fits(accumulating, capability)


@pytest.mark.prove
@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("form", DECODERS, ids=str)
def test_decoder_kernels_fit_without_spills(form, capability):
    dtype = torch.bfloat16 if capability in (90, 120) else torch.float32
    assert_fits(launches_of(decoder_calls(*form, 64, 50, 512, 512, 512, 1024, dtype)), capability)


@pytest.mark.prove
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_cell_kernels_fit_without_spills(capability):
    dtype = torch.bfloat16 if capability in (80, 100) else torch.float32
    assert_fits(launches_of([*cell_calls(64, 512, dtype), *cell_calls(3, 77, dtype)]), capability)


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_the_step_of_a_decoder_fits_without_spills(capability):
    launches = launches_of(attention_calls(64, 1, 50, 512, 1024, torch.bfloat16, masked=True))
    assert_fits([made for made in launches if "attend_tile" in made.name], capability)
