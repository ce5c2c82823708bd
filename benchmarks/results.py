"""The rows of a run, and the files they live in: latest.csv, and latest.json with where they come from.

Every machine has a folder of its own in `benchmarks/results`, which the first run on it makes. What `gpu-report` counts
from compiled code belongs to no machine and stands beside them.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path
from typing import Any

import torch

import seq2seq_fast

COLUMNS = ("workload", "backend", "dtype", "pass", "median_ms", "low_ms", "high_ms", "peak_mib", "limit_ms")
FOLDER = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One contender's pass of one workload; low and high are the tenth and ninetieth percentiles."""

    workload: str
    backend: str
    dtype: str
    passed: str
    median_ms: float
    low_ms: float
    high_ms: float
    peak_mib: float
    limit_ms: float


def write(folder: Path, rows: Iterable[Row], about: dict[str, Any]) -> None:
    """Write latest.csv and latest.json, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_text(value) for value in astuple(row)])
    write_whole(folder / "latest.csv", table.getvalue())
    write_whole(folder / "latest.json", json.dumps(about, indent=2) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write under another name, then rename: a run cut short leaves the old file as it was."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(text)
    unfinished.replace(path)


def read(folder: Path) -> tuple[list[Row], dict[str, Any]]:
    """What :func:`write` wrote.

    Raises:
        FileNotFoundError: nothing was measured yet.
    """
    with (folder / "latest.csv").open(newline="") as file:
        records = list(csv.reader(file))[1:]
    rows = [Row(*record[:4], *(float(value or "nan") for value in record[4:])) for record in records]  # type: ignore[arg-type]
    return rows, json.loads((folder / "latest.json").read_text())


def folder_of(machine: dict[str, Any]) -> Path:
    """Where a machine's figures live: the first folder of its name that holds no other machine's."""
    parts = (machine["device"], f"{machine['threads']} threads", machine["cpu_capability"])
    name = re.sub(r"[^a-z0-9.]+", "-", " ".join(parts).lower()).strip("-")
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(folder for folder in map(FOLDER.joinpath, names) if machine_of(folder) in (None, machine))


def machine_of(folder: Path) -> dict[str, Any] | None:
    """The machine whose figures a folder holds; None where it holds none."""
    try:
        return json.loads((folder / "latest.json").read_text())["machine"]
    except FileNotFoundError:
        return None


def of_other_folders(folder: Path) -> Iterator[tuple[str, list[Row]]]:
    """Names and figures of the machines' folders in `benchmarks/results`, this one left out."""
    for other in sorted(path.parent for path in FOLDER.glob("*/latest.json")):
        if other.resolve() != folder.resolve():
            yield other.name, read(other)[0]


def merge(old: Iterable[Row], new: Iterable[Row], names: Sequence[str]) -> list[Row]:
    """The new rows, and the old ones of the workloads and dtypes that were not measured again, in the order of names.

    Rows of workloads that are not among the names, because they are no more, are dropped.
    """
    new = list(new)
    again = {(row.workload, row.dtype) for row in new}
    rows = [row for row in old if (row.workload, row.dtype) not in again] + new
    return sorted((row for row in rows if row.workload in names), key=lambda row: names.index(row.workload))


def provenance(device: torch.device) -> dict[str, Any]:
    """Machine, versions, date and commit."""
    versions = {
        "seq2seq_fast": seq2seq_fast.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    with suppress(PackageNotFoundError):
        versions["triton"] = version("triton")
    machine = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
    if device.type == "cuda":
        versions["cuda"] = torch.version.cuda
    return {"machine": machine, "versions": versions, **stamp()}


def stamp() -> dict[str, str]:
    """When, and at which commit (``+`` where files other than results differ from it)."""
    return {"date": datetime.now(timezone.utc).isoformat(timespec="seconds"), "commit": _commit()}


def _commit() -> str:
    def git(*arguments: str) -> str:
        found = subprocess.run(("git", *arguments), cwd=FOLDER.parent, capture_output=True, text=True, check=True)
        return found.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "..", ":!results")
        return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _text(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return "" if math.isnan(value) else f"{value:.5g}"
