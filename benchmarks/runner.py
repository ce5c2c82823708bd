"""Check, then time every contender of a workload in interleaved rounds, then measure memory."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from benchmarks.check import CheckFailed, Results, check, results_of, truth
from benchmarks.clocks import Clock, clock_for
from benchmarks.contenders import Contender, contenders
from benchmarks.limits import cache_bytes
from benchmarks.quietness import Watch
from benchmarks.results import Row
from benchmarks.steps import LimitSteps, Steps, steps_of
from benchmarks.workload import Draw, Inputs, Workload

MODES = {"forward": "inference", "backward": "training", "both": "training"}
FEWEST_ROUNDS, MOST_ROUNDS = 5, 200


@dataclass(frozen=True)
class Settings:
    """What the command line decides.

    Attributes:
        passes: of "forward", "backward" and "both", those to report.
        baselines: of "eager", "compile" and "cudagraph".
        backends: to time; those named that cannot serve the tensors raise when called.
        seconds: about how long the rounds of one workload and mode take (at least 5 rounds are run).
    """

    device: torch.device
    dtype: torch.dtype
    passes: tuple[str, ...]
    baselines: tuple[str, ...]
    backends: tuple[str, ...]
    seconds: float


@dataclass
class Measured:
    """What one workload gave.

    Attributes:
        rows: one for each contender and pass.
        first_call_seconds: by contender and mode, compiling included.
        failures: contenders that are wrong or could not run, and why.
        limit: which kind of limit the workload declares.
        rounds: by mode.
        others_share: the most of the cores that other processes took while a mode was timed; None where unknown.
    """

    rows: list[Row] = field(default_factory=list)
    first_call_seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    limit: str = ""
    rounds: dict[str, int] = field(default_factory=dict)
    others_share: float | None = None


def measure(
    workload: Workload, settings: Settings, rivals: Sequence[Contender] | None = None, clock: Clock | None = None
) -> Measured:
    """Run one workload.

    A contender that fails its check, or cannot run, is left out of the timing and named in ``failures``.

    Args:
        rivals: who runs it; by default the settings' baselines and backends.
        clock: by default the one of the settings' device.
    """
    clock = clock or clock_for(settings.device)
    draw = Draw(settings.dtype, settings.device)
    found = Measured()
    if rivals is None:
        rivals = contenders(workload, settings.device, settings.baselines, settings.backends)
    modes = list(dict.fromkeys(MODES[passed] for passed in workload.passes if passed in settings.passes))
    made = workload.make_inputs(workload.sizes, draw)
    expected = truth(workload, made, "training" in modes)
    sets = [workload.prepared(made)]
    rivals = [rival for rival in rivals if _first_calls(workload, rival, sets[0], modes, expected, found)]
    del expected, made
    # Graphs are captured after all checks: a captured training step moves the weights that the checks are made on.
    steps = {rival.name: steps_of(workload, rival, sets) for rival in rivals}
    for rival in rivals:
        if rival.graphed and not _captured(rival.name, steps[rival.name], modes, found):
            del steps[rival.name]
    sets += [workload.inputs(draw) for _ in range(_sets_wanted(workload, sets[0], settings.device) - 1)]

    limit = workload.limit(workload.sizes, draw)
    found.limit = limit.kind
    graphed = {rival.name for rival in rivals if rival.graphed}
    for mode in modes:
        watch = Watch()
        samples = interleave({"limit": LimitSteps(limit), **steps}, mode, len(sets), clock, settings.seconds)
        share = watch.others_share()
        found.others_share = share if share is None else max(share, found.others_share or 0.0)
        found.rounds[mode] = len(samples["limit"])
        for name in steps:
            # A graph's memory was set aside when it was captured: a replay's peak says nothing.
            peak = math.nan if name in graphed else clock.peak_mib(partial(_run_first, steps[name], mode))
            for passed in workload.passes:
                if passed in settings.passes and MODES[passed] == mode:
                    times, least = (_of_pass(samples[key], passed) for key in (name, "limit"))
                    summary = *_summary(times), peak, statistics.median(least)
                    found.rows.append(Row(workload.name, name, _name_of(settings.dtype), passed, *summary))
    return found


def interleave(
    steps: dict[str, Steps], mode: str, sets: int, clock: Clock, seconds: float
) -> dict[str, list[list[float]]]:
    """Rounds in which each contender runs once, starting with another one and on other inputs each round.

    Returns:
        By contender, the seconds of each phase in each round. The warm-up round is not in it.
    """
    names = list(steps)
    samples: dict[str, list[list[float]]] = {name: [] for name in names}
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        began = time.perf_counter()
        for name in names:
            clock.seconds(getattr(steps[name], mode)(0))
        round_seconds = max(time.perf_counter() - began, 1e-6)
        rounds = max(FEWEST_ROUNDS, min(MOST_ROUNDS, int(seconds / round_seconds)))
        for turn in range(rounds):
            shift = turn % len(names)
            for name in names[shift:] + names[:shift]:
                samples[name].append(clock.seconds(getattr(steps[name], mode)(turn % sets)))
    finally:
        if enabled:
            gc.enable()
    return samples


def _first_calls(
    workload: Workload, rival: Contender, inputs: Inputs, modes: Sequence[str], expected: Results, found: Measured
) -> bool:
    """Time the first call in each mode and check what it gave; False, with the reason noted, where that fails."""
    taken = {}
    try:
        for mode in modes:
            began = time.perf_counter()
            with torch.set_grad_enabled(mode == "training"):
                results = results_of(workload, rival.call, inputs, mode == "training")
            _synchronize(inputs)
            taken[mode] = time.perf_counter() - began
            check(workload, rival, inputs, results, expected[: len(results)] if mode == "inference" else expected)
    except CheckFailed as failure:
        found.failures[rival.name] = str(failure)
        return False
    except Exception as error:  # a baseline that cannot be compiled here must not stop the others
        found.failures[rival.name] = _first_line(error)
        return False
    found.first_call_seconds[rival.name] = taken
    return True


def _captured(name: str, steps: Steps, modes: Sequence[str], found: Measured) -> bool:
    """Whether CUDA graphs could be captured; the reason is noted where not."""
    try:
        for mode in modes:
            began = time.perf_counter()
            _run_first(steps, mode)
            found.first_call_seconds[name][mode] = time.perf_counter() - began
    except Exception as error:  # what reads on the host cannot be captured
        found.failures[name] = _first_line(error)
        return False
    return True


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _run_first(steps: Steps, mode: str) -> None:
    """One step of the mode on the first set of inputs."""
    for phase in getattr(steps, mode)(0):
        phase()


def _synchronize(inputs: Inputs) -> None:
    if any(isinstance(value, Tensor) and value.is_cuda for value in inputs.values()):
        torch.cuda.synchronize()


def _sets_wanted(workload: Workload, inputs: Inputs, device: torch.device) -> int:
    """How many sets of inputs overflow the cache twice; two on CUDA, where the cache is flushed before each call."""
    if not workload.cold or device.type == "cuda":
        return 2
    held = sum(value.numel() * value.element_size() for value in inputs.values() if isinstance(value, Tensor))
    return max(2, min(32, math.ceil(2 * cache_bytes(device) / max(held, 1))))


def _of_pass(samples: Sequence[Sequence[float]], passed: str) -> list[float]:
    """The milliseconds of a pass: one phase, or both phases of a training step together."""
    take: Callable[[Sequence[float]], float] = sum if passed == "both" else lambda phases: phases[-1]
    return [1e3 * take(phases) for phases in samples]


def _summary(times: Sequence[float]) -> tuple[float, float, float]:
    """Median, and the tenth and ninetieth percentiles."""
    deciles = statistics.quantiles(times, n=10, method="inclusive")
    return statistics.median(times), deciles[0], deciles[-1]


def _name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
