"""What a run prints."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.results import Row
from benchmarks.runner import Measured
from benchmarks.workload import Workload
from seq2seq_fast.cases.race import BASELINES

LIMITS = {
    "bytes": "one pass over the bytes",
    "operations": "the arithmetic at the rate of a matrix product",
    "products": "the matrix products alone",
}


def workload_table(workload: Workload, measured: Measured) -> str:
    """Every contender and pass with its ratio to eager and its distance from the limit."""
    head = ["pass", "contender", "median", "10% - 90%", "eager/this", "this/limit", "peak MiB", "first call"]
    if workload.items:
        head.append(f"{workload.items.name}/s")
    eager = {row.passed: row.median_ms for row in measured.rows if row.backend == "eager"}
    lines = [head]
    for row in sorted(measured.rows, key=lambda row: workload.passes.index(row.passed)):
        mode = "inference" if row.passed == "forward" else "training"
        first = measured.first_call_seconds.get(row.backend, {}).get(mode, math.nan)
        lines.append(
            [
                row.passed,
                row.backend,
                milliseconds(row.median_ms),
                f"{row.low_ms:.4g} - {row.high_ms:.4g}",
                ratio(eager.get(row.passed, math.nan), row.median_ms),
                ratio(row.median_ms, row.limit_ms),
                number(row.peak_mib, "{:.1f}"),
                number(first, "{:.2f} s"),
            ]
        )
        if workload.items:
            lines[-1].append(number(1e3 * workload.items.count(workload.case.sizes) / row.median_ms, "{:.1f}"))
    title = f"{workload.name}  (limit: {LIMITS.get(measured.limit, measured.limit)}"
    limits = {row.passed: row.limit_ms for row in measured.rows}
    title += "".join(f"; {passed} {milliseconds(limit)}" for passed, limit in limits.items() if limit > 0) + ")"
    failures = [f"  FAILED {name}: {reason}" for name, reason in measured.failures.items()]
    return "\n".join([title, *aligned(lines), *failures])


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as text with columns aligned, words to the left and the rest to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return [
        "  " + "  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]


def milliseconds(value: float) -> str:
    return number(value, "{:.4g} ms")


def ratio(over: float, under: float) -> str:
    return number(over / under if under else math.nan, "{:.2f}x")


def number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else form.format(value)


def summary(rows: Sequence[Row]) -> str:
    """One line a workload, pass and dtype: each contender's ratio to eager."""
    keys = list(dict.fromkeys((row.workload, row.dtype, row.passed) for row in rows))
    names = [name for name in dict.fromkeys(row.backend for row in rows) if name != "eager"]
    median = {(row.workload, row.dtype, row.passed, row.backend): row.median_ms for row in rows}
    lines = [["workload", "pass", "dtype", "eager", *(f"{name} faster by" for name in names)]]
    for workload, dtype, passed in keys:
        eager = median.get((workload, dtype, passed, "eager"), math.nan)
        others = (median.get((workload, dtype, passed, name), math.nan) for name in names)
        lines.append([workload, passed, dtype, milliseconds(eager), *(ratio(eager, other) for other in others)])
    return "\n".join(aligned(lines))


def beside(rows: Sequence[Row], theirs: Sequence[Row]) -> str:
    """Our own backends here and on another machine, and how many times as fast as eager each is there; "" if none."""
    here, there = _of_each(rows), _of_each(theirs)
    lines = [["workload", "pass", "dtype", "backend", "here", "there", "eager/this here", "there"]]
    for (*what, name), row in here.items():
        key = (*what, name)
        if key in there and name not in BASELINES:
            pairs = [(found.get((*what, "eager")), found[key]) for found in (here, there)]
            speeds = [ratio(eager.median_ms if eager else math.nan, own.median_ms) for eager, own in pairs]
            lines.append([*key, milliseconds(row.median_ms), milliseconds(there[key].median_ms), *speeds])
    return "\n".join(aligned(lines)) if len(lines) > 1 else ""


def _of_each(rows: Sequence[Row]) -> dict[tuple[str, ...], Row]:
    return {(row.workload, row.passed, row.dtype, row.backend): row for row in rows}
