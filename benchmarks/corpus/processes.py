"""Memory and processor time of this process and all that it has started, as Linux counts them in /proc."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")


class Memory(NamedTuple):
    """Resident bytes, added up over processes, so that what two share counts twice.

    Attributes:
        own: what the processes have allocated; the system cannot take it back.
        files: pages of files that they have mapped, programs and libraries among them; the system takes these back
            when it needs room, and reads them again when they are wanted.
    """

    own: int
    files: int


class TreeWatch:
    """Counts from ``with`` on; its attributes are there behind it.

    Attributes:
        seconds: by the clock.
        processor_seconds: of all processes together.
        peak: the most of either kind of memory, sampled.
    """

    def __init__(self, interval: float = 0.1) -> None:
        self._interval = interval
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self.seconds = self.processor_seconds = 0.0
        self.peak = Memory(0, 0)

    def __enter__(self) -> TreeWatch:
        self._began, self._worked = time.perf_counter(), _processor_seconds()
        self._look()
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._sampler.join()
        self._look()
        self.seconds = time.perf_counter() - self._began
        self.processor_seconds = _processor_seconds() - self._worked

    def _sample(self) -> None:
        while not self._ended.wait(self._interval):
            self._look()

    def _look(self) -> None:
        now = resident()
        self.peak = Memory(max(self.peak.own, now.own), max(self.peak.files, now.files))


def resident() -> Memory:
    """What is resident now."""
    kilobytes = {"RssAnon": 0, "RssShmem": 0, "RssFile": 0}
    for process in _tree():
        for line in _read(process / "status").splitlines():
            name, _, value = line.partition(":")
            if name in kilobytes:
                kilobytes[name] += int(value.split()[0])
    return Memory(1024 * (kilobytes["RssAnon"] + kilobytes["RssShmem"]), 1024 * kilobytes["RssFile"])


def _processor_seconds() -> float:
    ticks = 0
    for process in _tree():
        # Behind the name, which may hold anything: user, system, and those of children that have ended.
        fields = _read(process / "stat").rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / _TICKS


def _tree() -> list[Path]:
    found = [_PROC / str(os.getpid())]
    for process in found:
        for children in process.glob("task/*/children"):
            found += [_PROC / number for number in _read(children).split()]
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has ended since it was listed
        return ""
