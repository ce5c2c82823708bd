"""``python -m benchmarks gpu-report``: what the compiled GPU kernels need and do, counted without a GPU."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import torch

from benchmarks.gpu_cells import cells, decoder_cells
from benchmarks.gpu_devices import RATES, Rates
from benchmarks.gpu_eager import EagerKernel
from benchmarks.gpu_launches import Launch
from benchmarks.gpu_traffic import least, moved
from benchmarks.gpu_workloads import SIZES, Traced, attention, decoder_step_launches, scores
from benchmarks.machine_code import CompiledKernel
from benchmarks.results import FOLDER, write_whole
from benchmarks.tables import aligned

# A unit of the exponential form has one saturating multiply-add, its denominator, and nothing else saturates.
UNIT = ".SAT"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class ReportRow:
    """One kernel of one operator's pass on one architecture; a unit is a query, a position and an attention unit.

    `bytes_in_flight` is of a multiprocessor on average, from the loads of one turn of the loop; `bound_us` is the
    largest of the times that the published rates give for bytes, special functions and FP32 instructions.
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


def row_of(traced: Traced, launch: Launch, compiled: CompiledKernel, rates: Rates) -> ReportRow:
    grid = 1
    for extent in launch.grid:
        grid *= extent
    occupancy, resources = compiled.occupancy(), compiled.resources
    loop = compiled.code.hot_loop(UNIT)
    units = loop.count_of(UNIT) if loop else 0
    special = loop.special / units if loop else None
    fp32 = loop.fp32 / units if loop else None
    flight, loads = None, ""
    if loop:
        widths = loop.widths("LDG") + loop.widths("LDGSTS")
        loads = " ".join(f"{n}x{width}" for width, n in sorted(widths.items(), reverse=True))
        wide = sum(width * n for width, n in widths.items() if width >= 8)
        flight = round(wide * compiled.threads * rates.blocks_at_once(grid, occupancy.blocks))
    total = sum(moved(launch).values())
    return ReportRow(
        launch.name.replace("_kernel", "").replace("._", "."), f"sm_{compiled.capability}", resources.registers,
        resources.spill_bytes, resources.shared_bytes, occupancy.fraction, round(total),
        least(launch, traced.tensors), special, fp32, traced.name, str(traced.dtype).removeprefix("torch."), rates.name,
        grid, loads, flight, round(rates.bytes_in_flight),
        1e6 * bound(total, traced.units * (special or 0), traced.units * (fp32 or 0), rates),
    )  # fmt: skip


def bound(moved_bytes: float, special: float, fp32: float, rates: Rates) -> float:
    """Seconds that a device needs at least: memory, special functions and FP32 pipes overlap perfectly."""
    return max(moved_bytes / rates.bandwidth, special / rates.special_per_second, fp32 / rates.fp32_per_second)


def eager_bound(kernels: Iterable[EagerKernel], rates: Rates, dtype: torch.dtype) -> float:
    """The same for eager's kernels, one after another."""
    return sum(kernel.seconds(rates, dtype == torch.float32) for kernel in kernels)


def operators(dtypes: Sequence[torch.dtype]) -> list[Traced]:
    return [
        t
        for dtype in dtypes
        for t in (
            *(x for name in SIZES for x in attention(name, dtype)),
            *scores(dtype),
            *cells(dtype),
            *decoder_cells(dtype),
        )
    ]


def collect(traced: Sequence[Traced], devices: Sequence[Rates], told=None) -> list[ReportRow]:
    """Compile every launch for every device. `told(done, total)` hears of progress."""
    rows: list[ReportRow] = []
    total = sum(len(t.launches) for t in traced) * len(devices)
    done = 0
    for rates in devices:
        for one in traced:
            for launch in one.launches:
                rows.append(row_of(one, launch, launch.compile(rates.capability), rates))
                done += 1
                if told is not None:
                    told(done, total)
    return rows


def write(path: Path, rows: Iterable[ReportRow]) -> None:
    """One line a row; a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow([field.name for field in fields(ReportRow)])
    for row in rows:
        writer.writerow([_cell(value) for value in astuple(row)])
    write_whole(path, table.getvalue())


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def kernel_table(rows: Sequence[ReportRow]) -> str:
    heading = ("kernel", "operator", "dtype", "arch", "regs", "spill", "shared", "occup.", "bytes/least",
               "special/unit", "FP32/unit", "loads of the loop", "in flight/needed", "bound us")  # fmt: skip
    lines = [heading]
    for r in rows:
        lines.append((
            r.kernel, r.operator, r.dtype, r.architecture, str(r.registers), str(r.spill_bytes), str(r.shared_bytes),
            f"{r.occupancy:.0%}", f"{r.bytes / r.least_bytes:.2f}" if r.least_bytes else "-",
            *("-" if x is None else f"{x:.2f}" for x in (r.special_per_unit, r.fp32_per_unit)), r.loop_loads or "-",
            _in_flight(r), f"{r.bound_us:.2f}",
        ))  # fmt: skip
    return "\n".join(aligned(lines))


def _in_flight(row: ReportRow) -> str:
    if row.bytes_in_flight is None:
        return "-"
    return f"{row.bytes_in_flight / 1024:.0f}/{row.bytes_in_flight_needed / 1024:.0f} KiB"


def operator_table(traced: Sequence[Traced], rows: Sequence[ReportRow], devices: Sequence[Rates]) -> str:
    """Launches, bytes and bounds of whole passes, beside eager's."""
    heading = ["operator", "dtype", "launches", "eager", "bytes/least", "eager"]
    heading += [f"{rates.name} us (eager)" for rates in devices]
    lines = [heading]
    for one in traced:
        dtype = str(one.dtype).removeprefix("torch.")
        own = [r for r in rows if (r.operator, r.dtype) == (one.name, dtype)]
        library = sum(kernel.bytes for kernel in one.library)
        total = library + sum(r.bytes for r in own if r.device == devices[0].name)
        line = [one.name, dtype, str(len(one.launches) + len(one.library)), str(len(one.eager))]
        eager_bytes = sum(k.bytes for k in one.eager)
        line += [f"{x / one.least_bytes:.2f}" if x else "-" for x in (total, eager_bytes)]
        for rates in devices:
            ours = sum(r.bound_us for r in own if r.device == rates.name)
            ours += 1e6 * eager_bound(one.library, rates, one.dtype)
            line.append(f"{ours:.1f} ({1e6 * eager_bound(one.eager, rates, one.dtype):.1f})")
        lines.append(line)
    return "\n".join(aligned(lines))


def goals(traced: Sequence[Traced], rows: Sequence[ReportRow]) -> Iterator[str]:
    """What was aimed at, what the counts say, and whether that is met."""

    def verdict(what: str, value: float, limit: float, text: str = "{:.2f}") -> str:
        met = "met" if value <= limit else "NOT MET"
        return f"{met:8} {what}: {text.format(value)}, goal {text.format(limit)} at most"

    for one in traced:
        if one.name == "one query, forward":
            dtype = str(one.dtype).removeprefix("torch.")
            own = [r for r in rows if (r.operator, r.dtype) == (one.name, dtype)]
            total = sum(r.bytes for r in own if r.device == own[0].device)
            yield verdict(f"one query, {dtype}: bytes over the least", total / one.least_bytes, 1.1)
            for row in own:
                if row.bytes_in_flight:
                    needed = row.bytes_in_flight_needed / row.bytes_in_flight
                    yield verdict(f"one query, {dtype}, {row.device}: bytes in flight, needed over had", needed, 1)
    for passed, fp32_goal in (("forward", 5.0), ("backward", 8.0)):
        own = [r for r in rows if r.operator == f"many queries, {passed}" and r.fp32_per_unit is not None]
        if own:
            special, fp32 = (max(getattr(r, f"{kind}_per_unit") for r in own) for kind in ("special", "fp32"))
            yield verdict(f"many queries, {passed}: special functions a unit", special, 0.5)
            yield verdict(f"many queries, {passed}: FP32 a unit, worst kernel", fp32, fp32_goal)
            for device in dict.fromkeys(r.device for r in own):
                for dtype in dict.fromkeys(r.dtype for r in own):
                    every = sum(r.fp32_per_unit or 0 for r in own if (r.device, r.dtype) == (device, dtype))
                    what = f"many queries, {passed}, {dtype}, {device}: FP32 a unit, all kernels together"
                    yield verdict(what, every, fp32_goal)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks gpu-report",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Compile the Triton kernels ahead of time for GPUs, at the launch parameters that ship, and count\n"
        "what they need and do. No GPU is needed, and nothing here is a measured time.",
        epilog="columns:\n"
        "  bytes/least    what programs ask of memory, each byte once a program, over the operator's tensors\n"
        "  special, FP32  instructions of the machine code's inner loop for one unit: a query, a position, an\n"
        "                 attention unit\n"
        "  in flight      bytes that the loop's wide loads keep under way on a multiprocessor (on average, idle ones\n"
        "                 included), and what the device's bandwidth times its latency asks for\n"
        "  bound          the largest of the times for bytes, special functions and FP32 at published rates: no run\n"
        "                 is faster; launch latencies come on top\n\n"
        "examples:\n"
        "  python -m benchmarks gpu-report                          everything: a few minutes on two cores\n"
        "  python -m benchmarks gpu-report --device H100 --dtype bfloat16\n",
    )
    made.add_argument("--device", nargs="+", choices=RATES, default=list(RATES), help="default: all")
    made.add_argument("--dtype", nargs="+", choices=DTYPES, default=list(DTYPES), help="default: all")
    made.add_argument(
        "--output", type=Path, default=FOLDER / "gpu_report.csv", metavar="FILE", help="default: %(default)s"
    )
    return made


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        filled = 40 * done // total
        end = "\n" if done == total else ""
        print(f"\rcompiling [{'#' * filled}{'.' * (40 - filled)}] {done}/{total}", end=end, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    devices = [RATES[name] for name in options.device]
    traced = operators([DTYPES[name] for name in options.dtype])
    rows = collect(traced, devices, _progress)
    write(options.output, rows)
    sizes = "; ".join(f"{name}: B={b} Tq={q} Tx={t} A={a} D={d}" for name, (b, q, t, a, d) in SIZES.items())
    print(f"Kernels ({sizes})\n{kernel_table(rows)}\n")
    print(f"Passes, launches and library products together\n{operator_table(traced, rows, devices)}\n")
    for cell in ("gru", "lstm"):
        ours, eager = decoder_step_launches(cell, DTYPES[options.dtype[0]])
        print(f"{cell} decoder, forward: {ours} launches a step, eager {eager} (goal 4 at most)")
    print("\nGoals\n" + "\n".join(f"  {line}" for line in goals(traced, rows)))
    print(f"\nCounted from compiled code; no time here was measured. Wrote {options.output}")
    return 0
