"""Verdicts and their files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq_fast.certificate.subject import Subject, cache_folder
from seq2seq_fast.files import whole

_FORMAT = 1


class Task(NamedTuple):
    """One thing that is tried.

    Attributes:
        operator: its public name.
        form: its options, as a word: the decoder's cell.
        dtype: as torch writes it, without "torch.".
        passed: "forward" or "backward".
    """

    operator: str
    form: str
    dtype: str
    passed: str

    def __str__(self) -> str:
        return f"{self.operator} {self.form} {self.dtype} {self.passed}"


@dataclass(frozen=True)
class Verdict:
    """What was found of a subject.

    Attributes:
        results: for each task what was wrong with it; empty where it was right.
    """

    subject: Subject
    results: dict[Task, str]

    def passes(self, *tasks: Task) -> bool:
        """Whether each of them was tried and was right."""
        return all(self.results.get(task, "not tried") == "" for task in tasks)

    def failures(self, *tasks: Task) -> dict[Task, str]:
        """Those that were tried and were wrong, of these tasks or of all."""
        return {task: why for task, why in self.results.items() if why and task in (tasks or self.results)}

    def __str__(self) -> str:
        failed = self.failures()
        right = len(self.results) - len(failed)
        told = "".join(f"; {task}: {why}" for task, why in failed.items())
        return f"{self.subject}: {right} of {len(self.results)} right{told}"


def read(subject: Subject) -> Verdict | None:
    """The verdict that is kept of a subject. None where there is none, or no whole one, or one of something else."""
    found = _parsed(subject.path)
    return found if found is not None and found.subject == subject else None


def write(verdict: Verdict) -> None:
    """Keep it, in one step.

    Raises:
        OSError: it cannot be written.
    """
    results = [[*task, why] for task, why in verdict.results.items()]
    content = {"format": _FORMAT, "subject": asdict(verdict.subject), "results": results}
    with whole(verdict.subject.path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def kept_verdicts(backend: str, **versions: str) -> Iterator[Verdict]:
    """All that are kept of a backend with these fields of a subject; no device is asked."""
    for path in sorted((cache_folder() / "certificates").glob("*.json")):
        found = _parsed(path)
        if found is None or found.subject.backend != backend:
            continue
        if all(getattr(found.subject, name) == value for name, value in versions.items()):
            yield found


def _parsed(path: Path) -> Verdict | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        return None
    subject, results = content.get("subject"), content.get("results")
    if not isinstance(subject, dict) or subject.keys() != {field.name for field in fields(Subject)}:
        return None
    if not _words(list(subject.values()), len(subject)):
        return None
    if not isinstance(results, list) or not results or not all(_words(row, 5) for row in results):
        return None
    return Verdict(Subject(**subject), {Task(*row[:4]): row[4] for row in results})


def _words(row: Any, count: int) -> bool:
    return isinstance(row, list) and len(row) == count and all(isinstance(word, str) for word in row)
