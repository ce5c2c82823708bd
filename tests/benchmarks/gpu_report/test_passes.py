"""The parts of the GPU report that need no compiler."""

import csv
from dataclasses import replace

import pytest
import torch

from benchmarks.gpu_report.bounds import bound, eager_bound
from benchmarks.gpu_report.command import parser
from benchmarks.gpu_report.cuda.workloads import operators
from benchmarks.gpu_report.eager import EagerKernel, EagerTrace
from benchmarks.gpu_report.machine_code.devices import LIMITS, RATES
from benchmarks.gpu_report.rows import ReportRow, write
from benchmarks.gpu_report.tables import goals, kernel_table, operator_table
from benchmarks.gpu_report.triton.workloads import attention
from benchmarks.gpu_report.triton.workloads import operators as triton_operators
from tests.triton_kernels.counting import every_kernel

ROW = ReportRow(
    "many_queries.score_tiles", "sm_80", 124, 0, 5376, 0.25, 4000, 1000, 0.5, 3.25, "many queries, forward", "float32",
    "A100", 224, "5x16", 8192, 6240, 4.0,
)  # fmt: skip


def test_a_bound_is_the_slowest_of_memory_special_functions_and_arithmetic():
    rates = RATES["A100"]
    assert bound(2.039e12, 0, 0, rates) == pytest.approx(1)
    assert bound(0, 108 * 16 * 1.41e9, 0, rates) == pytest.approx(1)
    assert bound(1, 1, 108 * 64 * 1.41e9 * 2, rates) == pytest.approx(2)


def test_multiprocessors_without_a_block_count_in_what_each_runs_at_once():
    rates = RATES["B200"]
    assert rates.blocks_at_once(74, most=4) == 0.5
    assert rates.blocks_at_once(222, most=4) == 1.5
    assert rates.blocks_at_once(10**6, most=4) == 4


def test_eagers_kernels_run_one_after_another():
    rates = RATES["H100"]
    kernels = [EagerKernel("add", int(3.35e12)), EagerKernel("tanh", 0, special=int(rates.special_per_second))]
    assert eager_bound(kernels, rates, torch.float32) == pytest.approx(2)


def test_a_trace_counts_kernels_and_their_bytes_but_no_views():
    x = torch.empty(4, 8, device="meta")
    with EagerTrace() as trace:
        torch.tanh(x.t().unsqueeze(0) + torch.empty(8, 1, device="meta"))
    assert [kernel.name for kernel in trace.kernels] == ["add", "tanh"]
    assert trace.kernels[0].bytes == 4 * (32 + 8 + 32)
    assert trace.kernels[1].special == 64


def test_the_tensor_of_every_pair_is_what_eager_moves_and_we_do_not():
    forward, _ = attention("many queries", torch.float32)
    pairs = 4 * forward.units
    assert max(kernel.bytes for kernel in forward.eager) >= 2 * pairs
    assert sum(sum(launch.moved.values()) for launch in forward.launches) < pairs


def test_every_kernel_is_in_the_report_and_moves_its_operators_tensors():
    traced = triton_operators([torch.float32])
    assert {launch.name for one in traced for launch in one.launches} == every_kernel()
    assert len({one.name for one in traced}) == len(traced)
    assert all(one.least_bytes > 0 for one in traced)


def test_every_capability_that_is_compiled_for_has_a_device():
    assert {rates.capability for rates in RATES.values()} == set(LIMITS)


def test_one_query_reads_keys_and_values_once():
    forward, _ = attention("one query", torch.float32)
    tile = forward.launches[0].moved
    assert tile["keys"] == 0
    assert tile["exponentials"] == 4 * 64 * 50 * 512
    assert tile["values"] == 4 * 64 * 50 * 1024
    assert forward.least_bytes >= tile["exponentials"] + tile["values"]


def test_the_file_has_the_promised_columns_and_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "deep" / "gpu_report.csv"
    write(path, [ROW])
    write(path, [ROW, replace(ROW, special_per_unit=None)])
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0])[:10] == [
        "kernel", "architecture", "registers", "spill_bytes", "shared_bytes", "occupancy", "bytes", "least_bytes",
        "special_per_unit", "fp32_per_unit",
    ]  # fmt: skip
    assert [line["special_per_unit"] for line in lines] == ["0.5", ""]
    assert [file.name for file in path.parent.iterdir()] == ["gpu_report.csv"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "gpu_report.csv"
    write(path, [ROW])
    with pytest.raises(TypeError):
        write(path, [None])
    assert path.read_text().count("\n") == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_goals_say_what_is_met_and_what_is_not():
    met, missed = goals([], [ROW]), goals([], [replace(ROW, fp32_per_unit=6.0)])
    assert all(line.startswith("met") for line in met)
    assert any(line.startswith("NOT MET") and "FP32" in line for line in missed)


def test_the_table_shows_ratios():
    assert "4.00" in kernel_table([ROW])


def test_a_pass_is_compared_with_eager_and_with_nothing_where_there_is_nothing():
    passes = {"A100": [*attention("one query", torch.float32), *operators(RATES["A100"], [torch.bfloat16])]}
    table = operator_table(passes, [replace(ROW, operator="one query, forward", bound_us=4.0)], [RATES["A100"]])
    triton = next(line for line in table.splitlines() if "triton" in line and "one query, forward" in line)
    assert "4.0 (" in triton
    cuda = [line for line in table.splitlines() if "cuda" in line]
    assert any("GRU decoder, paper, forward" in line and "(" not in line for line in cuda)


def test_help_explains_the_columns():
    assert "bytes/least" in parser().format_help()
