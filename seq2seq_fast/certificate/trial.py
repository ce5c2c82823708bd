"""Tasks tried in a child process, whose hangs and crashes stay there.

The child reads the tasks as one line of JSON and answers in lines of JSON: ``{"ready": true}``, then for each task
``{"begin": n}`` and ``{"end": n, "wrong": ""}`` with the task's number; ``{"cannot": "why"}`` where the machine and not
the task is at fault. Its standard input stays open for as long as its parent lives.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from seq2seq_fast.certificate.verdict import Task

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Limits:
    """Seconds: until the child is ready, of one task, of all; and how many children may die."""

    start: float = 120.0
    task: float = 60.0
    all: float = 300.0
    deaths: int = 3


class CannotTry(Exception):
    """Nothing was found out: no child could be started, or the device has no room for it."""


def try_tasks(tasks: Sequence[Task], command: Sequence[str], progress: Progress, limits: Limits) -> dict[Task, str]:
    """What was wrong with each task; empty where it was right.

    A task in which a child dies or hangs has failed; another child goes on with those that are left.

    Raises:
        CannotTry: nothing is known of the tasks.
    """
    results: dict[Task, str] = {}
    end = time.monotonic() + limits.all
    for _ in range(limits.deaths):
        rest = [task for task in tasks if task not in results]
        if not rest:
            return results
        with _Child(command, rest) as child:
            _listen(child, rest, results, progress, limits, len(tasks), end)
        if not child.ended:
            break
    rest = [task for task in tasks if task not in results]
    return results | dict.fromkeys(rest, "not tried, because others ended or stopped the process in which they ran")


def _listen(
    child: _Child, tasks: list[Task], results: dict[Task, str], progress: Progress, limits: Limits, count: int,
    end: float,
) -> None:  # fmt: skip
    """Until the child has answered, died or is out of time."""
    running: Task | None = None
    patience, ready = limits.start, False
    while not results.keys() >= set(tasks):
        answer = child.answer(patience)
        if answer is None:
            if not ready:
                raise CannotTry(f"the process for it {child.death(patience)}")
            if running is not None:
                results[running] = child.death(patience)
            return
        if "cannot" in answer:
            raise CannotTry(str(answer["cannot"]))
        ready, patience = True, limits.task
        if "begin" in answer:
            if time.monotonic() > end:
                raise CannotTry(f"{len(results)} of {count} tries took longer than {limits.all:g} seconds")
            running = tasks[answer["begin"]]
            progress(f"{len(results) + 1} of {count}: {running}")
        elif "end" in answer:
            results[tasks[answer["end"]]] = str(answer["wrong"])
            running = None


class _Child:
    """The process; it is gone when the block ends, unless even killing does not end it."""

    def __init__(self, command: Sequence[str], tasks: Sequence[Task]):
        try:
            self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the child)
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env=_environment(),
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise CannotTry(f"{command[0]} cannot be started: {error}") from None
        self.ended = False
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        with suppress(OSError):  # it has died already: its answers will say so
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(tasks).encode() + b"\n")
            self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with suppress(ValueError):
                self._answers.put(json.loads(line))
        self._answers.put(None)

    def answer(self, seconds: float) -> dict[str, Any] | None:
        """The next; None where the child has died or gives none in this time."""
        try:
            return self._answers.get(timeout=seconds)
        except queue.Empty:
            return None

    def death(self, waited: float) -> str:
        """Why no answer came, in a line."""
        try:
            code = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return f"gave no answer within {waited:g} seconds"
        self._errors.seek(0)
        lines = self._errors.read()[-4000:].decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return f"{how}: {last[:200]}" if last else how

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):  # one that waits inside a driver may not end
            self._process.wait(timeout=10.0)
            self.ended = True
        for stream in (self._process.stdin, self._errors):
            with suppress(OSError):
                assert stream is not None
                stream.close()


def _environment() -> dict[str, str]:
    """The child imports from where this process does, and nothing beside its folder by accident."""
    paths = [path or os.getcwd() for path in sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1", "PYTHONFAULTHANDLER": ""}
