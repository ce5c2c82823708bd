"""How a call is timed and its memory measured, on a CPU and on a CUDA device."""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import torch

from benchmarks.limits import cache_bytes

Phase = Callable[[], object]


class Clock(Protocol):
    def seconds(self, phases: Sequence[Phase]) -> list[float]:
        """Run the phases one after another and give the seconds each took."""

    def peak_mib(self, phase: Phase) -> float:
        """The most memory the phase holds at once beyond what was there before, NaN where it cannot be told."""


class CPUClock:
    """Wall clock, and the peak of resident memory: it counts every buffer, torch's or not."""

    _status, _reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def seconds(self, phases: Sequence[Phase]) -> list[float]:
        stamps = [time.perf_counter()]
        for phase in phases:
            phase()
            stamps.append(time.perf_counter())
        return [after - before for before, after in pairwise(stamps)]

    def peak_mib(self, phase: Phase) -> float:
        try:
            # What malloc keeps for later is given back first, or the phase would grow into it unseen.
            ctypes.CDLL(None).malloc_trim(0)
            self._reset.write_text("5")  # the peak starts again from what is resident now (man 5 proc)
            before = self._mib("VmRSS:")
            phase()
            return self._mib("VmHWM:") - before
        except (OSError, AttributeError):
            return math.nan

    def _mib(self, key: str) -> float:
        line = next(line for line in self._status.read_text().splitlines() if line.startswith(key))
        return int(line.split()[1]) / 1024


class CUDAClock:
    """CUDA events, each call on a cold L2, and the peak of torch's allocator."""

    def __init__(self, device: torch.device):
        self.device = device
        self.flush = torch.empty(2 * cache_bytes(device), dtype=torch.int8, device=device)

    def seconds(self, phases: Sequence[Phase]) -> list[float]:
        events = [torch.cuda.Event(enable_timing=True) for _ in range(len(phases) + 1)]
        self.flush.zero_()
        events[0].record()
        for phase, event in zip(phases, events[1:], strict=True):
            phase()
            event.record()
        events[-1].synchronize()
        return [before.elapsed_time(after) / 1e3 for before, after in pairwise(events)]

    def peak_mib(self, phase: Phase) -> float:
        torch.cuda.synchronize(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        phase()
        torch.cuda.synchronize(self.device)
        return (torch.cuda.max_memory_allocated(self.device) - before) / 2**20


def clock_for(device: torch.device) -> Clock:
    return CUDAClock(device) if device.type == "cuda" else CPUClock()
