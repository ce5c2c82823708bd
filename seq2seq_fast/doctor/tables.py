"""The findings as rows of words, for the terminal and for the report alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from seq2seq_fast.doctor.results import Check, Findings, Timing

Row = tuple[str, ...]


def aligned(rows: Sequence[Sequence[str]], indent: str = "  ", right: Sequence[int] = ()) -> list[str]:
    """Rows as lines with columns aligned; the columns numbered in ``right`` to the right."""
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        indent
        + "  ".join(
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def environment_rows(environment: dict[str, Any]) -> list[Row]:
    processor = environment["processor"]
    rows = [(name, value) for name, value in environment["versions"].items()]
    rows += [
        ("driver", environment["driver"]),
        *((f"compiler, {name}", value) for name, value in environment["compilers"].items()),
        ("system", environment["system"]),
        ("processor", f"{processor['name']}, {processor['cores']} cores, {processor['capability']}"),
        ("threads", f"{processor['threads']} of torch; load of the last minute {processor['load']}"),
    ]
    rows += [
        (
            f"device cuda:{index}",
            f"{device['name']}, compute capability {device['capability']}, {device['multiprocessors']} "
            f"multiprocessors, {device['memory_gib']} GiB",
        )
        for index, device in enumerate(environment["devices"])
    ]
    if not environment["devices"]:
        rows.append(("device cuda", "none that this torch can use"))
    for plan in environment["decoder_plans"]:
        about = f"{plan['device']}, {plan['cell']} decoder in {plan['dtype']} at {plan['sizes']}"
        rows += [(f"{about}, {passed}", plan[passed]) for passed in ("forward", "backward")]
    for backend in environment["backends"]:
        rows += [(f"certificate of {backend['name']}", line) for line in backend["certificates"]]
    return rows + [(name, value) for name, value in environment["variables"].items()]


BACKEND_HEAD: Row = ("backend", "usable", "devices", "dtypes", "remark")


def backend_rows(environment: dict[str, Any]) -> list[Row]:
    return [
        (
            backend["name"],
            "yes" if backend["usable"] else "no" if backend["built"] else "not built",
            " ".join(backend["devices"]),
            " ".join(backend["dtypes"]),
            backend["reason"],
        )
        for backend in environment["backends"]
    ]


CHECK_HEAD: Row = ("backend", "operator", "dtype", "check", "error", "allowed", "result", "nearest to its bound")


def check_row(check: Check) -> Row:
    """A check as the names it goes by, the error beside the allowed error, and the tensor they are of."""
    error, allowed, tensor = "-", "-", ""
    if check.worst is not None:
        error, allowed, tensor = magnitude(check.worst.error), magnitude(check.worst.allowed), check.worst.tensor
    return check.backend, check.operator, check.dtype, check.name, error, allowed, verdict(check), tensor


def verdict(check: Check) -> str:
    return "ok" if check.passed else "FAIL"


TIMING_HEAD: Row = ("operator", "pass", "contender", "median", "10% - 90%", "eager/this", "first call")


def timing_rows(timings: Sequence[Timing]) -> list[Row]:
    return [
        (
            timing.operator,
            timing.passed,
            timing.contender,
            f"{timing.median_ms:.3f} ms",
            f"{timing.low_ms:.3f} - {timing.high_ms:.3f}",
            "-" if math.isnan(timing.speedup) else f"{timing.speedup:.2f}x",
            duration(timing.first_call_s),
        )
        for timing in timings
    ]


def summary(findings: Findings) -> list[str]:
    """The run in a few lines, the most important first."""
    failed, checked = len(findings.failed), len(findings.checks)
    backends = ", ".join(dict.fromkeys(check.backend for check in findings.checks)) or "none"
    where = f"on {findings.options['device']}, backends checked: {backends}"
    lines = [f"{failed} of {checked} checks FAILED {where}" if failed else f"all {checked} checks passed {where}"]
    if findings.lost or findings.interrupted:
        lines.append(f"the run ended early: {findings.lost or 'interrupted from the keyboard'}")
    if backends == "reference":
        lines.append("no fused backend served this device: only eager PyTorch was examined")
    left_out = f"{len(findings.not_run)} left out (see Not run)" if findings.not_run else "nothing left out"
    lines.append(f"{len(findings.timings)} timings, {left_out}, {findings.seconds:.0f} s")
    return lines


def failures(findings: Findings) -> list[str]:
    """One line for each backend and operator that failed: which checks, in which dtypes."""
    lines = []
    pairs = dict.fromkeys((check.backend, check.operator) for check in findings.failed)
    for backend, operator in pairs:
        checks = [check for check in findings.checks if (check.backend, check.operator) == (backend, operator)]
        dtypes: dict[str, list[str]] = {}
        for check in checks:
            if not check.passed:
                dtypes.setdefault(check.name, []).append(check.dtype)
        told = "; ".join(f"{name} ({', '.join(where)})" for name, where in dtypes.items())
        lines.append(f"{backend}: {operator}: {told if any(check.passed for check in checks) else 'every check'}")
    return lines


def duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1e3 * seconds:.0f} ms"


def magnitude(value: float) -> str:
    return "0" if value == 0 else "inf" if math.isinf(value) else f"{value:.1e}"
