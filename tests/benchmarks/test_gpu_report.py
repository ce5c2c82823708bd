"""The parts of the GPU report that need no compiler."""

import csv
from dataclasses import replace

import pytest
import torch

from benchmarks.gpu_cuda_workloads import operators
from benchmarks.gpu_devices import RATES
from benchmarks.gpu_eager import EagerKernel, EagerTrace
from benchmarks.gpu_report import parser
from benchmarks.gpu_rows import ReportRow, bound, eager_bound, write
from benchmarks.gpu_tables import goals, kernel_table, operator_table
from benchmarks.gpu_traffic import moved
from benchmarks.gpu_workloads import attention
from benchmarks.sass import parse_sass

ROW = ReportRow(
    "many_queries.score_tiles", "sm_80", 124, 0, 5376, 0.25, 4000, 1000, 0.5, 3.25, "many queries, forward", "float32",
    "A100", 224, "5x16", 8192, 6240, 4.0,
)  # fmt: skip


def test_a_bound_is_the_slowest_of_memory_special_functions_and_arithmetic():
    rates = RATES["A100"]
    assert bound(2.039e12, 0, 0, rates) == pytest.approx(1)
    assert bound(0, 108 * 16 * 1.41e9, 0, rates) == pytest.approx(1)
    assert bound(1, 1, 108 * 64 * 1.41e9 * 2, rates) == pytest.approx(2)


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
    assert sum(sum(moved(launch).values()) for launch in forward.launches) < pairs


def test_one_query_reads_keys_and_values_once():
    forward, _ = attention("one query", torch.float32)
    tile = moved(forward.launches[0])
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


LOOP = """
	.text.kernel:
        /*0000*/                   MOV R1, c[0x0][0x28] ;
.L_x_0:
        /*0010*/                   LDG.E.128 R4, [R2.64] ;
        /*0020*/              @P0 BRA `(.L_x_1) ;
        /*0030*/                   FFMA.SAT R4, R5, R6, R7 ;
        /*0040*/                   MUFU.RCP R4, R4 ;
        /*0050*/                   BRA `(.L_x_2) ;
.L_x_1:
        /*0060*/                   MUFU.EX2 R4, R4 ;
.L_x_2:
        /*0070*/                   FADD R8, R8, R4 ;
        /*0080*/              @P1 BRA `(.L_x_0) ;
        /*0090*/                   EXIT ;
"""


def test_the_hot_loop_leaves_out_branches_that_pass_no_marked_instruction():
    code = parse_sass(LOOP)["kernel"]
    mix = code.hot_loop(".SAT")
    assert (mix.special, mix.fp32, mix.count("LDG")) == (1, 2, 1)
    assert code.loops()[0].mix.special == 2
    assert code.hot_loop("HMMA") is None


def test_the_rare_form_of_what_is_marked_is_left_out_where_there_is_another():
    text = LOOP.replace("FFMA.SAT R4, R5, R6, R7", "FMNMX.NAN R4, R5, R6").replace(
        "        /*0060*/                   MUFU.EX2 R4, R4 ;\n",
        "        /*0060*/                   MUFU.EX2 R4, R4 ;\n        /*0064*/   FMNMX.NAN R4, R4, R6 ;\n",
    )
    code = parse_sass(text)["kernel"]
    both, usual = code.hot_loop("FMNMX.NAN"), code.hot_loop("FMNMX.NAN", "MUFU.EX2")
    assert (both.count_of("FMNMX.NAN"), both.special) == (2, 2)
    assert (usual.count_of("FMNMX.NAN"), usual.special, usual.count("LDG")) == (1, 1, 1)
    only = parse_sass(text.replace("/*0030*/                   FMNMX.NAN", "/*0030*/                   FADD"))["kernel"]
    assert only.hot_loop("FMNMX.NAN", "MUFU.EX2").special == 1


def test_a_jump_written_as_a_call_leaves_the_loop():
    text = LOOP.replace("@P1 BRA `(.L_x_0)", "@P1 CALL.REL.NOINC `(.L_x_3)").replace(
        "        /*0090*/                   EXIT ;",
        "        /*0090*/   BRA `(.L_x_0) ;\n.L_x_3:\n        /*00a0*/   EXIT ;",
    )
    assert [loop.mix.special for loop in parse_sass(text)["kernel"].loops()] == [2]


def test_a_detour_of_diverged_warps_belongs_to_no_loop():
    text = LOOP.replace(
        "        /*0070*/ ", "        /*0068*/   BRA.DIV ~URZ, `(.L_x_3) ;\n.L_x_4:\n        /*0070*/ "
    ).replace(
        "        /*0090*/                   EXIT ;",
        "        /*0090*/   EXIT ;\n.L_x_3:\n        /*00a0*/   FADD R1, R1, R1 ;\n        /*00b0*/   BRA `(.L_x_4) ;",
    )
    code = parse_sass(text)["kernel"]
    assert (code.hot_loop(".SAT").special, code.hot_loop(".SAT").fp32) == (1, 2)
    assert [loop.mix.special for loop in code.loops()] == [2]
