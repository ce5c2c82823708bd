"""What bounds a step of the decoder: in one launch, in a few launches a position, and in eager PyTorch.

All of a pass counts, divided by its positions, so that what is done once before or behind the loop is there too. Every
path has the same prices: bytes at the second cache's rate of `seq2seq_fast.cuda_kernels.prices`, as most of what a step
reads was read by the step before; special functions, FP32 and 16-bit tensor-core products at published rates, spread
over all multiprocessors without a rest; and a kernel that waits for the one before as dear as a barrier of the grid.
For the decoder in one launch the plan counts the busiest multiprocessor, so the others are favoured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from benchmarks.gpu_report.cuda.decoder import BARRIERS, described, on_cuda, one_launch_seconds, plans
from benchmarks.gpu_report.decoder import DecoderPass, on_eager
from benchmarks.gpu_report.eager import EagerKernel
from benchmarks.gpu_report.machine_code.devices import Rates
from benchmarks.gpu_report.rows import ReportRow
from benchmarks.gpu_report.sizes import DECODER, DecoderSizes
from benchmarks.gpu_report.tensors import dtype_name
from benchmarks.gpu_report.triton.decoder import on_triton
from benchmarks.tables import aligned
from seq2seq_fast.cuda_kernels.prices import GRID_BARRIER, L2_BYTES, TENSOR_CORE_MULTIPLY_ADDS
from seq2seq_fast.triton_kernels import launch

STEP_DEVICES = ("A100", "H100", "B200", "RTX 4090")
CELLS = ("gru", "lstm")


@dataclass(frozen=True)
class DecoderStep:
    """A step's least microseconds in a pass. `one_launch_us` is None where `plan` says that it does not fit.

    `one_launch_barriers_us` is part of `one_launch_us`; the paths of several launches have `..._launches` a step, and
    their microseconds contain a boundary for each.
    """

    sizes: str
    cell: str
    dtype: str
    device: str
    passed: str
    one_launch_us: float | None
    one_launch_barriers_us: float | None
    bound_by: str
    cuda_us: float
    cuda_launches: float
    triton_us: float
    triton_launches: float
    eager_us: float
    eager_launches: float
    plan: str


def kernel_seconds(kernel: EagerKernel, rates: Rates, dtype: torch.dtype) -> float:
    """Of a library's kernel, by the prices above and without its boundary."""
    per_cycle = rates.fp32 if dtype == torch.float32 else TENSOR_CORE_MULTIPLY_ADDS
    cycles = max(kernel.bytes / L2_BYTES, kernel.special / rates.special, kernel.products / per_cycle)
    return cycles / rates.multiprocessors / rates.clock_hz


def pass_seconds(
    traced: DecoderPass, rates: Rates, dtype: torch.dtype, sizes: DecoderSizes, rows: Sequence[ReportRow], engine: str
) -> tuple[float, int]:
    """Of all kernels of a pass, boundaries included, and how many they are; `rows` says what a unit costs."""
    seconds = sum(kernel_seconds(kernel, rates, dtype) for kernel in traced.library)
    for made in traced.launches:
        kernel = made.name.replace("_kernel", "").replace("._", ".")
        found = [
            r for r in rows
            if (r.engine, r.kernel, r.dtype, r.device) == (engine, kernel, dtype_name(dtype), rates.name)
        ]  # fmt: skip
        units = sizes.batch * sizes.positions * sizes.units
        special, fp32 = (min((getattr(r, name) or 0 for r in found), default=0) for name in PER_UNIT)
        cycles = max(sum(made.moved.values()) / L2_BYTES, special * units / rates.special, fp32 * units / rates.fp32)
        seconds += cycles / rates.multiprocessors / rates.clock_hz
    count = len(traced.launches) + len(traced.library)
    return seconds + count * GRID_BARRIER / rates.clock_hz, count


PER_UNIT = ("special_per_unit", "fp32_per_unit")


def decoder_steps(
    rows: Sequence[ReportRow], devices: Iterable[Rates], dtypes: Iterable[torch.dtype]
) -> list[DecoderStep]:
    """Every size, cell, dtype and device, forward and backward."""
    found = []
    dtypes, devices = list(dtypes), list(devices)
    for (name, sizes), cell, dtype in ((s, c, d) for s in DECODER.items() for c in CELLS for d in dtypes):
        eager = on_eager(sizes, cell, dtype)
        for rates in devices:
            with launch.assuming(rates.multiprocessors):
                triton = on_triton(sizes, cell, dtype)
            alone = on_cuda(sizes, cell, dtype, replace(described(rates), cooperative=False))
            whole = on_cuda(sizes, cell, dtype, described(rates))
            for i, (passed, plan) in enumerate(
                zip(("forward", "backward"), plans(sizes, cell, dtype, rates), strict=True)
            ):
                one = barriers = None
                if plan.fits:
                    beside = DecoderPass([], whole[i].library, [])
                    around, _ = pass_seconds(beside, rates, dtype, sizes, rows, "cuda")
                    one = 1e6 * (one_launch_seconds(plan, sizes.target, rates) + around) / sizes.target
                    barriers = 1e6 * plan.cycles[BARRIERS] / rates.clock_hz
                paths = [
                    pass_seconds(traced[i], rates, dtype, sizes, rows, engine)
                    for traced, engine in ((alone, "cuda"), (triton, "triton"), (eager, "eager"))
                ]
                figures = [x for s, n in paths for x in (1e6 * s / sizes.target, n / sizes.target)]
                found.append(DecoderStep(
                    name, cell, dtype_name(dtype), rates.name, passed, one, barriers, plan.bound if plan.fits else "",
                    *figures, str(plan),
                ))  # fmt: skip
    return found


def step_table(steps: Sequence[DecoderStep]) -> str:
    """Microseconds a step, and launches a step behind them."""
    lines = [("sizes", "cell", "dtype", "device", "pass", "one launch", "of it barriers", "bound by",
              "CUDA by position", "Triton", "eager")]  # fmt: skip
    for s in steps:
        one = "-" if s.one_launch_us is None else f"{s.one_launch_us:.1f}"
        barriers = "-" if s.one_launch_barriers_us is None else f"{s.one_launch_barriers_us:.1f}"
        paths = ((s.cuda_us, s.cuda_launches), (s.triton_us, s.triton_launches), (s.eager_us, s.eager_launches))
        lines.append((
            s.sizes, s.cell, s.dtype, s.device, s.passed, one, barriers, s.bound_by or "-",
            *(f"{us:.1f} ({launches:.1f})" for us, launches in paths),
        ))  # fmt: skip
    return "\n".join(aligned(lines))
