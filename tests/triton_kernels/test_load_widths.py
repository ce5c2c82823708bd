"""Rows of 1,000 numbers, the paper's, are read as rows of 1,024 are: 16 bytes at a time."""

import pytest
import torch

from benchmarks.gpu_report.triton.calls import attention_calls, cell_calls, decoder_calls, launches_of
from benchmarks.gpu_report.triton.launches import Launch, recorded
from seq2seq_fast.triton_kernels.key_exponentials import key_exponentials
from tests.support.engines import dtype_name
from tests.triton_kernels.counting import every_kernel

PAPER, ROUND = 1000, 1024
DTYPES = (torch.float32, torch.bfloat16)


def launches(size: int, dtype: torch.dtype) -> dict[str, Launch]:
    """One launch of each kernel at a training step's sizes, with as many units as are asked for."""
    calls = [
        *attention_calls(80, 1, 50, size, 2 * size, dtype, masked=False),
        *attention_calls(8, 50, 50, size, 2 * size, dtype, masked=False),
        *cell_calls(80, size, dtype),
    ]
    for form in (("gru", True), ("gru", False), ("lstm", True)):
        calls += decoder_calls(*form, 80, 50, 620, size, size, 2 * size, dtype)
    calls += decoder_calls("gru", True, 8, 50, 620, size, size, 2 * size, torch.float16)[2:]
    return {launch.name: launch for launch in launches_of(calls)}


def loads(launch: Launch) -> tuple[dict[int, int], dict[int, int], int]:
    compiled = launch.compile(90)
    mix = compiled.code.mix
    return dict(mix.widths("LDG") + mix.widths("LDGSTS")), dict(mix.widths("STG")), compiled.resources.registers


def assert_as_wide(paper: Launch, round_: Launch) -> None:
    found, expected = loads(paper), loads(round_)
    assert found[:2] == expected[:2], f"{paper.name}: loads and stores by bytes {found}, at {ROUND} units {expected}"
    assert found[2] <= expected[2] + 8, f"{paper.name}: {found[2]} registers, at {ROUND} units {expected[2]}"


@pytest.mark.parametrize("name", ["one_query._attend_tile_kernel", "decoder_cells._cell_kernel"])
def test_a_decoder_step_reads_a_thousand_units_sixteen_bytes_at_a_time(name):
    paper, round_ = (launches(size, torch.bfloat16)[name] for size in (PAPER, ROUND))
    assert loads(paper)[0].get(16, 0) >= 8
    assert_as_wide(paper, round_)


@pytest.mark.prove
@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
def test_every_kernel_reads_a_thousand_units_as_it_reads_1024(dtype):
    paper, round_ = (launches(size, dtype) for size in (PAPER, ROUND))
    assert set(paper) == set(round_) == every_kernel()
    for name, launch in paper.items():
        assert_as_wide(launch, round_[name])


@pytest.mark.usefixtures("serves_cpu_tensors")
@pytest.mark.parametrize(
    ("size", "offset", "wide"), [(8, 0, True), (1000, 8, True), (1000, 4, False), (12, 0, False), (1, 0, False)]
)
def test_rows_are_wide_where_their_sizes_and_addresses_fit_sixteen_bytes_in_every_dtype(size, offset, wide):
    keys = torch.empty(3 * size + offset, dtype=torch.bfloat16)[offset:].view(1, 3, size)
    with recorded() as made:
        key_exponentials(keys)
    assert [launch.arguments["WIDE"] for launch in made] == [3 * size % 8 == 0 and wide]
