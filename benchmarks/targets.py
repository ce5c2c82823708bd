"""What the CPU engine aims at, and whether the last run reached it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.results import Row
from benchmarks.tables import aligned, number

Table = dict[tuple[str, str, str], Row]


@dataclass(frozen=True)
class Target:
    """A figure to reach.

    Attributes:
        what: the row's text.
        workloads: globs of the workloads it is computed from.
        wanted: the figure.
        at_least: the measured figure must be at least ``wanted``, or else at most.
        measure: from the rows and a contender's name, the figure (NaN where it was not measured).
    """

    what: str
    workloads: tuple[str, ...]
    wanted: float
    at_least: bool
    measure: Callable[[Table, str], float]

    def met(self, measured: float) -> bool:
        return measured >= self.wanted if self.at_least else measured <= self.wanted


def faster(workload: str, passed: str, wanted: float, baseline: str = "eager") -> Target:
    """So many times as fast as a baseline."""

    def measure(table: Table, name: str) -> float:
        return _quotient(table, (workload, passed, baseline), (workload, passed, name), "median_ms")

    return Target(f"{workload} {passed}: faster than {baseline}", (workload,), wanted, True, measure)


def near_limit(workload: str, passed: str, wanted: float, limit: str) -> Target:
    """At most so many times the limit."""

    def measure(table: Table, name: str) -> float:
        row = table.get((workload, passed, name))
        return row.median_ms / row.limit_ms if row and row.limit_ms else math.nan

    return Target(f"{workload} {passed}: time over {limit}", (workload,), wanted, False, measure)


def smaller(workload: str, passed: str, wanted: float) -> Target:
    """At most such a part of eager's peak memory."""

    def measure(table: Table, name: str) -> float:
        return _quotient(table, (workload, passed, name), (workload, passed, "eager"), "peak_mib")

    return Target(f"{workload} {passed}: peak memory over eager's", (workload,), wanted, False, measure)


def linear(field: str, what: str, wanted: float = 1.1) -> Target:
    """Growth from source length 100 to 1,000 as a power of the length: 1 is linear."""
    short, long = ("source_length/100", "both"), ("source_length/1000", "both")

    def measure(table: Table, name: str) -> float:
        growth = _quotient(table, (*long, name), (*short, name), field)
        return math.log10(growth) if growth > 0 else math.nan

    return Target(
        f"source_length both: {what} grows as length to the power", ("source_length/*",), wanted, False, measure
    )


_PASS, _PRODUCTS = "one pass over the bytes", "its matrix products alone"
_SCORE, _ATTEND, _MANY = (
    "additive_score/80x50x1024", "attend/80x50x1024x2048", "additive_attention/32x50x50x1024",
)  # fmt: skip

TARGETS: tuple[Target, ...] = (
    faster(_SCORE, "forward", 10),
    faster(_SCORE, "forward", 7, "compile"),
    faster(_ATTEND, "forward", 3.5),
    faster(_ATTEND, "both", 5),
    near_limit(_ATTEND, "forward", 1.2, _PASS),
    near_limit(_ATTEND, "both", 1.2, _PASS),
    *(
        faster(name, passed, wanted, baseline)
        for name in (_MANY, f"{_MANY}/no_weights")
        for passed, wanted, baseline in (
            ("forward", 20, "eager"),
            ("both", 12, "eager"),
            ("forward", 10, "compile"),
            ("both", 10, "compile"),
        )
    ),
    smaller(f"{_MANY}/no_weights", "both", 1 / 20),
    *(
        target
        for name in ("gru_gates/80x1024", "lstm_gates/80x1024")
        for target in (faster(name, "both", 3), near_limit(name, "both", 1.3, _PASS))
    ),
    near_limit("attention_decoder/64x50x50", "both", 1.1, _PRODUCTS),
    near_limit("attention_decoder/80x15x15", "both", 1.0, _PRODUCTS),
    near_limit("training_step/multi30k", "both", 1.15, _PRODUCTS),
    near_limit("translation/beam5", "forward", 1.3, _PRODUCTS),
    linear("median_ms", "time"),
    linear("peak_mib", "peak memory"),
)


def targets_table(rows: Sequence[Row], contender: str, dtype: str = "float32") -> str:
    """Each target with the figure wanted, ours, eager's and whether it is met."""
    table = {(row.workload, row.passed, row.backend): row for row in rows if row.dtype == dtype}
    lines = [["target", "", "wanted", contender, "eager", "met"]]
    for target in TARGETS:
        measured, eager = target.measure(table, contender), target.measure(table, "eager")
        met = "not measured" if math.isnan(measured) else "yes" if target.met(measured) else "no"
        sign = ">=" if target.at_least else "<="
        lines.append([target.what, sign, *(number(v, "{:.3g}") for v in (target.wanted, measured, eager)), met])
    return "\n".join(aligned(lines))


def _quotient(table: Table, over: tuple[str, str, str], under: tuple[str, str, str], field: str) -> float:
    if over not in table or under not in table:
        return math.nan
    below = getattr(table[under], field)
    return getattr(table[over], field) / below if below else math.nan
