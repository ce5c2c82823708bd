"""Rounds in which every contender runs once, timed on a CPU or on a CUDA device."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch

Call = Callable[[], object]
FEWEST_ROUNDS, MOST_ROUNDS = 5, 200


def seconds_of(call: Call, device: torch.device) -> float:
    """One call: wall clock, or between two CUDA events of the current stream."""
    if device.type != "cuda":
        began = time.perf_counter()
        call()
        return time.perf_counter() - began
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    call()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3


def first_call_seconds(call: Call, device: torch.device) -> float:
    """Wall clock of a call that may compile something, until the device is done."""
    began = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def interleave(calls: Mapping[str, Call], device: torch.device, seconds: float) -> dict[str, list[float]]:
    """Seconds of each call in each round; each round starts with another one, after a round to warm up.

    Args:
        seconds: about how long all rounds take; at least 5 and at most 200 are run.
    """
    names = list(calls)
    samples: dict[str, list[float]] = {name: [] for name in names}
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        round_seconds = sum(seconds_of(calls[name], device) for name in names)
        rounds = max(FEWEST_ROUNDS, min(MOST_ROUNDS, int(seconds / max(round_seconds, 1e-6))))
        for turn in range(rounds):
            shift = turn % len(names)
            for name in names[shift:] + names[:shift]:
                samples[name].append(seconds_of(calls[name], device))
    finally:
        if enabled:
            gc.enable()
    return samples


def summary(samples: Sequence[float]) -> tuple[float, float, float]:
    """Median, tenth and ninetieth percentile, in milliseconds."""
    deciles = statistics.quantiles(samples, n=10, method="inclusive")
    return 1e3 * statistics.median(samples), 1e3 * deciles[0], 1e3 * deciles[-1]
