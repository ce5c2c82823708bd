"""Check, then time every contender of a workload in interleaved rounds, then measure memory."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch

from benchmarks.limits import limit_of
from benchmarks.quietness import Watch
from benchmarks.results import Row
from benchmarks.workload import Workload
from seq2seq_fast.cases import Draw, Inputs
from seq2seq_fast.cases.clock import Clock, cache_bytes, clock_for, interleave, summary
from seq2seq_fast.cases.race import (
    INFERENCE,
    TRAINING,
    Contender,
    Course,
    contenders,
    qualify,
    run_all,
)

MODES = {"forward": INFERENCE, "backward": TRAINING, "both": TRAINING}


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
        limit: which part of its work bounds the operator.
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
    clock, operator = clock or clock_for(settings.device), workload.operator
    course = Course(operator, workload.case, Draw(settings.dtype, settings.device))
    if rivals is None:
        rivals = contenders(operator, settings.device, settings.baselines, settings.backends)
    passes = [passed for passed in workload.passes if passed in settings.passes]
    modes = list(dict.fromkeys(MODES[passed] for passed in passes))
    qualified = qualify(course, rivals, modes)
    found = Measured([], qualified.first_call_seconds, qualified.failures, operator.limited_by)
    inputs = course.sets[0][0]
    limit = limit_of(operator, workload.case.sizes, inputs, qualified.outputs, course.draw)
    course.add_sets(_sets_wanted(workload, inputs, settings.device))
    # A graph's memory was set aside when it was captured: a replay's peak says nothing.
    graphed = {rival.name for rival in rivals if rival.graphed}
    for mode in modes:
        watch = Watch()
        timed = {"limit": partial(limit.phases, mode)}
        timed |= {name: partial(phases, mode) for name, phases in qualified.phases.items()}
        samples = interleave(timed, clock, settings.seconds)
        share = watch.others_share()
        found.others_share = share if share is None else max(share, found.others_share or 0.0)
        found.rounds[mode] = len(samples["limit"])
        for name in qualified.phases:
            peak = math.nan if name in graphed else clock.peak_mib(partial(run_all, partial(timed[name], 0)))
            for passed in passes:
                if MODES[passed] == mode:
                    times, least = (_of_pass(samples[key], passed) for key in (name, "limit"))
                    dtype = str(settings.dtype).removeprefix("torch.")
                    figures = *summary(times), peak, 1e3 * statistics.median(least)
                    found.rows.append(Row(workload.name, name, dtype, passed, *figures))
    return found


def _sets_wanted(workload: Workload, inputs: Inputs, device: torch.device) -> int:
    """How many sets of inputs overflow the cache twice; two on CUDA, where the cache is flushed before each call."""
    if not workload.operator.cold or device.type == "cuda":
        return 2
    held = sum(tensor.nbytes for tensor in (inputs.tensors | inputs.constants).values())
    return max(2, min(32, math.ceil(2 * cache_bytes(device) / max(held, 1))))


def _of_pass(samples: Sequence[Sequence[float]], passed: str) -> list[float]:
    """The seconds of a pass: one phase, or both phases of a training step together."""
    take: Callable[[Sequence[float]], float] = sum if passed == "both" else lambda phases: phases[-1]
    return [take(phases) for phases in samples]
