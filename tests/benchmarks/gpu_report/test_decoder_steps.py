"""The bound of a decoder's step."""

import dataclasses

import pytest
import torch

from benchmarks.gpu_report.cuda.decoder import BARRIERS, described, on_cuda, plans, step_cycles
from benchmarks.gpu_report.decoder import DecoderPass, on_eager
from benchmarks.gpu_report.decoder_steps import DecoderStep, decoder_steps, kernel_seconds, pass_seconds, step_table
from benchmarks.gpu_report.eager import EagerKernel
from benchmarks.gpu_report.machine_code.devices import RATES
from benchmarks.gpu_report.rows import ReportRow, write
from benchmarks.gpu_report.sizes import DECODER
from benchmarks.gpu_report.triton.decoder import on_triton
from seq2seq_fast.cuda_kernels.prices import GRID_BARRIER, L2_BYTES

H100 = RATES["H100"]
WITHOUT_BARRIERS = dataclasses.replace(described(H100), cooperative=False)
PAPER = DECODER["paper"]
TINY = PAPER._replace(target=3)


@pytest.mark.parametrize("passed", [0, 1])
def test_phases_follow_each_other_and_their_parts_overlap(passed):
    plan = plans(PAPER, "gru", torch.bfloat16, H100)[passed]
    assert plan.fits and plan.cycles[BARRIERS] == 2 * GRID_BARRIER
    longest = sorted(plan.cycles.values())[-1]
    assert longest + plan.cycles[BARRIERS] <= step_cycles(plan) < sum(plan.cycles.values())
    slower = dataclasses.replace(plan, cycles={**plan.cycles, "weights in shared memory": 10 * longest})
    assert step_cycles(slower) > step_cycles(plan) + 8 * longest


def test_the_products_phase_is_known_by_its_parts_names():
    for plan in plans(PAPER, "gru", torch.bfloat16, H100):
        product = plan.cycles["weights in shared memory"], plan.cycles["the product's arithmetic"]
        assert step_cycles(plan) >= max(product) + plan.cycles["keys"] + plan.cycles[BARRIERS]


def test_the_second_cache_costs_what_was_measured_of_it():
    # A GH100: 5.5 to 7 TB/s; an A100's whitepaper: 5,120 bytes a clock.
    assert 5.5e12 <= L2_BYTES * H100.multiprocessors * H100.clock_hz <= 7e12
    assert L2_BYTES * RATES["A100"].multiprocessors <= 5120


def test_a_kernels_boundary_is_as_dear_as_a_barrier():
    nothing = DecoderPass([], [EagerKernel("mm", 0)] * 4, [])
    seconds, count = pass_seconds(nothing, H100, torch.float32, TINY, [], "eager")
    assert count == 4 and seconds == pytest.approx(4 * GRID_BARRIER / H100.clock_hz)


def test_a_kernel_takes_as_long_as_its_dearest_part():
    cycles = H100.multiprocessors * H100.clock_hz
    assert kernel_seconds(EagerKernel("add", int(L2_BYTES * cycles)), H100, torch.float32) == pytest.approx(1)
    product = EagerKernel("mm", 0, products=int(128 * cycles))
    assert kernel_seconds(product, H100, torch.float32) == pytest.approx(1)
    assert kernel_seconds(product, H100, torch.bfloat16) == pytest.approx(1 / 8)


def test_the_price_of_a_unit_is_that_of_the_compiled_kernel():
    (forward, _) = on_cuda(TINY, "gru", torch.float32, WITHOUT_BARRIERS)
    row = ReportRow(
        "additive_attention.attend", "sm_90", 1, 0, 0, 1.0, 0, 0, 1e6, 0.0, "", "float32", "H100", 1, "", None, 0, 0.0,
        "cuda",
    )  # fmt: skip
    free, _ = pass_seconds(forward, H100, torch.float32, TINY, [], "cuda")
    dear, _ = pass_seconds(forward, H100, torch.float32, TINY, [row], "cuda")
    units = 1e6 * TINY.batch * TINY.positions * TINY.units * TINY.target
    assert dear == pytest.approx(free + units / H100.special_per_second, rel=0.01)


def test_one_launch_serves_every_position_where_it_fits():
    whole, alone = (
        on_cuda(TINY, "gru", torch.bfloat16, described(H100)),
        on_cuda(TINY, "gru", torch.bfloat16, WITHOUT_BARRIERS),
    )
    for one, several in zip(whole, alone, strict=True):
        assert len([launch for launch in one.launches if "decoder_kernel" in launch.instance]) == 1
        assert not any("decoder_kernel" in launch.instance for launch in several.launches)
        assert len(one.launches) + len(one.library) < len(several.launches) + len(several.library)


def test_every_path_is_traced_forward_and_backward():
    for passes in (on_triton(TINY, "lstm", torch.float32), on_eager(TINY, "lstm", torch.float32)):
        assert all(len(traced.launches) + len(traced.library) > 3 * TINY.target for traced in passes)


def test_a_device_that_is_too_small_says_so_and_the_table_has_both(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.gpu_report.decoder_steps.DECODER", {"paper": TINY})
    monkeypatch.setattr("benchmarks.gpu_report.decoder_steps.CELLS", ("gru",))
    steps = decoder_steps([], [RATES["A100"], H100], [torch.float32])
    by_device = {(step.device, step.passed): step for step in steps}
    assert by_device["A100", "forward"].one_launch_us is None
    assert "bytes of shared memory" in by_device["A100", "forward"].plan
    fits = by_device["H100", "forward"]
    assert fits.one_launch_us > fits.one_launch_barriers_us == pytest.approx(2e6 * GRID_BARRIER / H100.clock_hz)
    assert fits.cuda_launches > 4 and fits.eager_launches > 20
    table = step_table(steps)
    assert fits.bound_by and fits.bound_by in table and f"{fits.one_launch_us:.1f}" in table
    write(tmp_path / "steps.csv", steps, DecoderStep)
    assert (tmp_path / "steps.csv").read_text().startswith("sizes,cell,dtype,device,passed,one_launch_us")
