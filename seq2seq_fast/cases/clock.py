"""The one clock: rounds in which every contender runs once, timed on a CPU or on a CUDA device, and peaks of memory."""

from __future__ import annotations

import ctypes
import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import torch

Phase = Callable[[], object]
FEWEST_ROUNDS, MOST_ROUNDS = 5, 200


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


def cache_bytes(device: torch.device) -> int:
    """The size of the last level of cache; 32 MiB where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).L2_cache_size
    units = {"K": 2**10, "M": 2**20}
    sizes = [0]
    for file in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = file.read_text().strip()
        sizes.append(int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text))
    return max(sizes) or 32 * 2**20


def first_call_seconds(call: Phase, device: torch.device) -> float:
    """Wall clock of a call that may compile something, until the device is done."""
    began = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def interleave(
    contenders: Mapping[str, Callable[[int], Sequence[Phase]]], clock: Clock, seconds: float
) -> dict[str, list[list[float]]]:
    """Rounds in which each contender runs once, starting with another one each round, after one to warm up.

    Args:
        contenders: for the number of a round, the phases to run in it.
        seconds: about how long all rounds take; at least 5 and at most 200 are run.

    Returns:
        By contender, the seconds of each phase in each round.
    """
    names = list(contenders)
    samples: dict[str, list[list[float]]] = {name: [] for name in names}
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        began = time.perf_counter()
        for name in names:
            clock.seconds(contenders[name](0))
        round_seconds = max(time.perf_counter() - began, 1e-6)
        rounds = max(FEWEST_ROUNDS, min(MOST_ROUNDS, int(seconds / round_seconds)))
        for turn in range(rounds):
            shift = turn % len(names)
            for name in names[shift:] + names[:shift]:
                samples[name].append(clock.seconds(contenders[name](turn)))
    finally:
        if enabled:
            gc.enable()
    return samples


def summary(seconds: Sequence[float]) -> tuple[float, float, float]:
    """Median, tenth and ninetieth percentile, in milliseconds."""
    deciles = statistics.quantiles(seconds, n=10, method="inclusive")
    return 1e3 * statistics.median(seconds), 1e3 * deciles[0], 1e3 * deciles[-1]


def captured(phases_of: Callable[[], Sequence[Phase]]) -> list[torch.cuda.CUDAGraph]:
    """A CUDA graph of each phase, on whose outputs the caller has kept hold."""
    # Libraries make handles and workspaces on first use, which a capture forbids: run a few times beside it.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            for phase in phases_of():
                phase()
    torch.cuda.current_stream().wait_stream(stream)
    graphs: list[torch.cuda.CUDAGraph] = []
    for phase in phases_of():
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=graphs[0].pool() if graphs else None):
            phase()
        graphs.append(graph)
    return graphs
