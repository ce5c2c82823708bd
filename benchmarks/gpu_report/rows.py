"""The rows of the GPU report: one kernel of one operator's pass on one device, counted from its machine code."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.gpu_report.bounds import bound
from benchmarks.gpu_report.machine_code.devices import Rates
from benchmarks.gpu_report.machine_code.kernel import CompiledKernel
from benchmarks.gpu_report.passes import Launch, Traced, least
from benchmarks.gpu_report.tensors import dtype_name
from benchmarks.results import write_whole

# What a unit has once and nothing else has, and what marks the guarded form that few sources take. Triton: the
# exponential form's denominator, a saturating multiply-add. CUDA: the cap of a denominator; the direct form has an
# exponential for each.
MARKS = {"triton": (".SAT", ""), "cuda": ("FMNMX.NAN", "MUFU.EX2")}


@dataclass(frozen=True)
class ReportRow:
    """One kernel of one operator's pass on one architecture; a unit is a query, a position and an attention unit.

    `bytes_in_flight` is of a multiprocessor on average, from the loads of one turn of the loop; `bound_us` is the
    largest of the times that the published rates give for bytes, special functions and FP32 instructions, and for the
    decoder in one launch what its plan says of all its steps.
    """

    kernel: str
    architecture: str
    registers: int
    spill_bytes: int
    shared_bytes: int
    occupancy: float
    bytes: int
    least_bytes: int
    special_per_unit: float | None
    fp32_per_unit: float | None
    operator: str
    dtype: str
    device: str
    grid: int
    loop_loads: str
    bytes_in_flight: int | None
    bytes_in_flight_needed: int
    bound_us: float
    engine: str = "triton"


def row_of(traced: Traced, launch: Launch, compiled: CompiledKernel, rates: Rates) -> ReportRow:
    grid = math.prod(launch.grid)
    occupancy, resources = compiled.occupancy(), compiled.resources
    marker, rare = MARKS[traced.engine]
    loop = compiled.code.hot_loop(marker, rare)
    units = loop.count_of(marker) if loop else 0
    special = loop.special / units if loop else None
    fp32 = loop.fp32 / units if loop else None
    flight, loads = None, ""
    if loop:
        # LD: an address that may be in shared memory too, such as keys that stay there where they fit.
        widths = loop.widths("LDG") + loop.widths("LDGSTS") + loop.widths("LD")
        loads = " ".join(f"{n}x{width}" for width, n in sorted(widths.items(), reverse=True))
        wide = sum(width * n for width, n in widths.items() if width >= 8)
        flight = round(wide * compiled.threads * rates.blocks_at_once(grid, occupancy.blocks))
    total = sum(launch.moved.values())
    seconds = traced.seconds
    if seconds is None:
        seconds = bound(total, traced.units * (special or 0), traced.units * (fp32 or 0), rates)
    return ReportRow(
        launch.name.replace("_kernel", "").replace("._", "."), f"sm_{compiled.capability}", resources.registers,
        resources.spill_bytes, resources.shared_bytes, occupancy.fraction, round(total),
        least(launch, traced.tensors), special, fp32, traced.name, dtype_name(traced.dtype), rates.name,
        grid, loads, flight, round(rates.bytes_in_flight), 1e6 * seconds, traced.engine,
    )  # fmt: skip


def collect(
    traced: dict[str, list[Traced]], devices: Sequence[Rates], told: Callable[[int, int], Any] | None = None
) -> list[ReportRow]:
    """Compile every launch for its device. `traced` is by device; `told(done, total)` hears of progress."""
    rows: list[ReportRow] = []
    total = sum(len(one.launches) for rates in devices for one in traced[rates.name])
    for rates in devices:
        for one in traced[rates.name]:
            for launch in one.launches:
                rows.append(row_of(one, launch, launch.compile(rates.capability), rates))
                if told is not None:
                    told(len(rows), total)
    return rows


def write(path: Path, rows: Iterable[Any], kind: type = ReportRow) -> None:
    """One line a row of a dataclass; a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow([field.name for field in fields(kind)])
    for row in rows:
        writer.writerow([_cell(value) for value in astuple(row)])
    write_whole(path, table.getvalue())


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
