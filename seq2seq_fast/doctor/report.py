"""The report that can be attached to a bug report: Markdown for people, JSON beside it for programs."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seq2seq_fast.doctor.results import Findings
from seq2seq_fast.doctor.tables import (
    BACKEND_HEAD,
    CHECK_HEAD,
    TIMING_HEAD,
    Row,
    backend_rows,
    check_row,
    environment_rows,
    failures,
    summary,
    timing_rows,
)
from seq2seq_fast.files import whole

# What a reader of the JSON can rely on; counted up when a key changes its meaning.
FORMAT = 1


def default_path(environment: dict[str, Any]) -> Path:
    """A name in the current folder, of the first device and the minute."""
    device = re.sub(r"[^a-z0-9]+", "-", environment["devices"][0]["name"].lower()).strip("-")
    return Path(f"seq2seq-fast-doctor-{device}-{environment['date'][:16].replace(':', '')}.md")


def check_writable(path: Path) -> None:
    """Raise OSError, before any work is done, where no report can be written."""
    folder = path.absolute().parent
    if path.is_dir():
        raise IsADirectoryError(f"report {path}: is a folder, a file is wanted")
    if not folder.is_dir():
        raise FileNotFoundError(f"report {path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"report {path}: cannot write into {folder}")


def write(findings: Findings, path: Path) -> tuple[Path, Path]:
    """Write both files, each whole or not at all; ``path`` may end in .md or .json, or in neither.

    Returns:
        Their paths, Markdown first.
    """
    stem = path.with_suffix("") if path.suffix in (".md", ".json") else path
    markdown_path, json_path = stem.with_name(stem.name + ".md"), stem.with_name(stem.name + ".json")
    for place, text in (
        (json_path, json.dumps(as_json(findings), indent=2, allow_nan=False) + "\n"),
        (markdown_path, as_markdown(findings, json_path.name)),
    ):
        with whole(place) as partial:
            partial.write_text(text, encoding="utf-8")
    return markdown_path, json_path


def as_json(findings: Findings) -> dict[str, Any]:
    """Everything found, of values that JSON has: null for a number that is infinite or NaN."""
    checks = [
        {
            **asdict(check),
            "passed": check.passed,
            "worst": None if check.worst is None else asdict(check.worst),
            "explanations": check.explanations,
        }
        for check in findings.checks
    ]
    whole = {
        "format": FORMAT,
        "healthy": findings.healthy,
        "summary": summary(findings),
        "interrupted": findings.interrupted,
        "lost": findings.lost,
        "seconds": findings.seconds,
        "options": findings.options,
        "environment": findings.environment,
        "checks": checks,
        "timed_at": findings.timed_at,
        "timings": [asdict(timing) for timing in findings.timings],
        "not_run": [asdict(left_out) for left_out in findings.not_run],
    }
    return _finite(whole)


def as_markdown(findings: Findings, json_name: str) -> str:
    lines = ["# seq2seq-fast doctor", "", *(f"- {line}" for line in summary(findings))]
    lines += [f"- {findings.environment['date']}; every number is in `{json_name}`"]
    if findings.failed:
        lines += ["", "## Failed", "", *(f"- {line}" for line in failures(findings)), ""]
        lines += ["<details><summary>every failure</summary>", ""]
        for check in findings.failed:
            lines.append(f"- {check.backend}: {check.operator}, {check.dtype}, {check.name}")
            lines += [f"  - {_escaped(explanation)}" for explanation in check.explanations]
        lines += ["", "</details>"]
    lines += ["", "## Environment", "", *_table(("", ""), environment_rows(findings.environment))]
    lines += ["", "## Backends", "", *_table(BACKEND_HEAD, backend_rows(findings.environment))]
    if findings.timings:
        sizes = [f"- {operator}: {text}" for operator, text in findings.timed_at.items()]
        lines += ["", "## Timings", "", timing_note(findings), "", *sizes, ""]
        lines += _table(TIMING_HEAD, timing_rows(findings.timings))
    lines += ["", "## Checks", "", CHECK_NOTE, "", "<details><summary>every check</summary>", ""]
    lines += [*_table(CHECK_HEAD, [check_row(check) for check in findings.checks]), "", "</details>"]
    if findings.not_run:
        lines += ["", "## Not run", "", *(f"- {item.what}: {_escaped(item.why)}" for item in findings.not_run)]
    return "\n".join(lines) + "\n"


CHECK_NOTE = (
    "Against the reference in float64. Error is the largest absolute difference, allowed what the operator's contract "
    "permits at the size of the true tensor; of all tensors that a check compares, the one nearest to its bound."
)


def timing_note(findings: Findings) -> str:
    """What the numbers mean."""
    clock = (
        "CUDA events, on a cold cache; `graph`: replayed from a CUDA graph"
        if findings.options["device"] == "cuda"
        else "wall clock"
    )
    return (
        f"float32, medians of interleaved rounds ({clock}). eager is what one writes in PyTorch alone, "
        "torch.compile compiles it (of attention_decoder: its step); first call includes compiling. Matrix products in "
        "full float32."
    )


def _table(head: Row, rows: Sequence[Row]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(_escaped(cell) for cell in line) + " |" for line in lines]


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, (list, tuple)) else value
