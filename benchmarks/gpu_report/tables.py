"""The tables of the GPU report, and its goals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.gpu_report.bounds import eager_bound
from benchmarks.gpu_report.machine_code.devices import Rates
from benchmarks.gpu_report.passes import Traced
from benchmarks.gpu_report.rows import ReportRow
from benchmarks.gpu_report.tensors import dtype_name
from benchmarks.tables import aligned


def kernel_table(rows: Sequence[ReportRow]) -> str:
    heading = ("engine", "kernel", "operator", "dtype", "arch", "regs", "spill", "shared", "occup.", "bytes/least",
               "special/unit", "FP32/unit", "loads of the loop", "in flight/needed", "bound us")  # fmt: skip
    lines = [heading]
    for r in rows:
        lines.append((
            r.engine, r.kernel, r.operator, r.dtype, r.architecture,
            str(r.registers), str(r.spill_bytes), str(r.shared_bytes),
            f"{r.occupancy:.0%}", f"{r.bytes / r.least_bytes:.2f}" if r.least_bytes else "-",
            *("-" if x is None else f"{x:.2f}" for x in (r.special_per_unit, r.fp32_per_unit)), r.loop_loads or "-",
            _in_flight(r), f"{r.bound_us:.2f}",
        ))  # fmt: skip
    return "\n".join(aligned(lines))


def _in_flight(row: ReportRow) -> str:
    if row.bytes_in_flight is None:
        return "-"
    return f"{row.bytes_in_flight / 1024:.0f}/{row.bytes_in_flight_needed / 1024:.0f} KiB"


def operator_table(traced: dict[str, list[Traced]], rows: Sequence[ReportRow], devices: Sequence[Rates]) -> str:
    """Launches, bytes and bounds of whole passes, beside eager's; counts are of the first device that has the pass."""
    heading = ["engine", "operator", "dtype", "launches", "eager", "bytes/least", "eager"]
    heading += [f"{rates.name} us (eager)" for rates in devices]
    lines = [heading]
    passes: dict[tuple[str, str, str], dict[str, Traced]] = {}
    for rates in devices:
        for one in traced[rates.name]:
            passes.setdefault((one.engine, one.name, dtype_name(one.dtype)), {})[rates.name] = one
    for key, by_device in passes.items():
        first, one = next(iter(by_device.items()))
        own = [r for r in rows if (r.engine, r.operator, r.dtype) == key]
        total = sum(kernel.bytes for kernel in one.library) + sum(r.bytes for r in own if r.device == first)
        line = [*key, str(len(one.launches) + len(one.library)), str(len(one.eager) or "-")]
        eager_bytes = sum(k.bytes for k in one.eager)
        line += [f"{x / one.least_bytes:.2f}" if x else "-" for x in (total, eager_bytes)]
        for rates in devices:
            here = by_device.get(rates.name)
            if here is None:
                line.append("-")
                continue
            ours = sum(r.bound_us for r in own if r.device == rates.name)
            ours += 1e6 * eager_bound(here.library, rates, here.dtype)
            eager = f" ({1e6 * eager_bound(here.eager, rates, here.dtype):.1f})" if here.eager else ""
            line.append(f"{ours:.1f}{eager}")
        lines.append(line)
    return "\n".join(aligned(lines))


def goals(traced: Sequence[Traced], rows: Sequence[ReportRow]) -> Iterator[str]:
    """What was aimed at, what the counts of one engine say, and whether that is met."""

    def verdict(what: str, value: float, limit: float, text: str = "{:.2f}") -> str:
        met = "met" if value <= limit else "NOT MET"
        return f"{met:8} {what}: {text.format(value)}, goal {text.format(limit)} at most"

    for one in traced:
        if one.name == "one query, forward":
            dtype = dtype_name(one.dtype)
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
