"""Every kernel, compiled ahead of time at its real launch parameters, fits the devices it is meant for."""

import pytest
import torch

from benchmarks.gpu_devices import LIMITS
from tests.support.engines import dtype_name
from tests.triton_kernels.calls import attention_calls, cell_calls, decoder_calls, launches_of

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
# Sizes of training, of decoding, and of nothing that a power of two divides.
ATTENTION = [(64, 1, 50, 512, 1024), (8, 50, 50, 512, 1024), (256, 4, 400, 1000, 1000), (3, 13, 71, 77, 51)]
DECODERS = [("gru", True), ("gru", False), ("lstm", True), ("rnn", True)]


def assert_fits(launches, capability):
    assert launches
    for launch in launches:
        resources = launch.compile(capability).resources
        told = f"{launch.name} {launch.constexprs} at {capability}: {resources}"
        assert resources.spill_bytes == 0, f"spills: {told}"
        assert resources.shared_bytes <= LIMITS[capability].shared_per_block, f"shared memory: {told}"


@pytest.mark.prove
@pytest.mark.parametrize("capability", [80, 90, 100, 120])
@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
@pytest.mark.parametrize("shape", ATTENTION, ids=str)
def test_attention_kernels_fit_without_spills(shape, dtype, capability):
    for masked in (True, False):
        assert_fits(launches_of(attention_calls(*shape, dtype, masked)), capability)


@pytest.mark.prove
@pytest.mark.parametrize("capability", [80, 90, 100, 120])
@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
@pytest.mark.parametrize("form", DECODERS, ids=str)
def test_decoder_kernels_fit_without_spills(form, dtype, capability):
    assert_fits(launches_of(decoder_calls(*form, 64, 50, 512, 512, 512, 1024, dtype)), capability)
    assert_fits(launches_of(decoder_calls(*form, 5, 150, 37, 77, 51, 91, dtype, options=False)), capability)


@pytest.mark.prove
@pytest.mark.parametrize("capability", [80, 90, 100, 120])
@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
def test_cell_kernels_fit_without_spills(dtype, capability):
    assert_fits(launches_of([*cell_calls(64, 512, dtype), *cell_calls(3, 77, dtype)]), capability)


def test_the_largest_kernels_fit_a_quick_look():
    calls = attention_calls(8, 50, 50, 512, 1024, torch.bfloat16, True)
    kernels = [launch for launch in launches_of(calls) if "_tiles" in launch.name or "_unit" in launch.name]
    assert_fits(kernels, 90)
