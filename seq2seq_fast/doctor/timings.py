"""Each operator on each backend beside eager PyTorch and torch.compile: checked, then timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from seq2seq_fast.cases import Draw, Operator
from seq2seq_fast.cases.clock import clock_for, interleave, summary
from seq2seq_fast.cases.race import BASELINES, INFERENCE, TRAINING, Course, contenders, qualify
from seq2seq_fast.doctor.checks import judged
from seq2seq_fast.doctor.results import Check, Findings, Timing

DTYPE = torch.float32
PASSES = {INFERENCE: "forward", TRAINING: "forward+backward"}


@dataclass(frozen=True)
class Settings:
    """How to time.

    Attributes:
        place: whose sizes, a name in :data:`seq2seq_fast.cases.sizes.PLACES`.
        compiled: torch.compile too; it takes a minute or more.
        seconds: about how long the rounds of one operator and pass take.
    """

    device: torch.device
    backends: Sequence[str]
    place: str
    compiled: bool
    seconds: float


def time_operator(operator: Operator, settings: Settings, findings: Findings, progress: Callable[[str], None]) -> None:
    """Check and time one operator, in float32; what fails its check or cannot run is not timed."""
    course = Course(operator, operator.at(settings.place), Draw(DTYPE, settings.device))
    findings.timed_at[operator.name] = str(course.case)
    baselines = [name for name in BASELINES if name != "compile" or settings.compiled]
    rivals = contenders(operator, settings.device, baselines, settings.backends)
    found = qualify(course, rivals, tuple(PASSES), lambda text: progress(f"{operator.name}: {text}"))
    for name in settings.backends:
        about = (name, operator.name, "float32", "the size that is timed")
        check = judged(about, found.compared[name])
        error = "" if check.failed or name not in found.failures else found.failures[name]
        findings.checks.append(Check(*about, worst=None, error=error) if error else check)
    for name, reason in found.failures.items():
        findings.leave_out(f"timing of {operator.name}, {name}", reason)

    for mode, passed in PASSES.items():
        progress(f"{operator.name}: timing {passed}")
        # The reference is the truth's formula, not what a user would write: that is eager.
        timed = {name: partial(phases, mode) for name, phases in found.phases.items() if "reference" not in name}
        samples = interleave(timed, clock_for(settings.device), settings.seconds) if timed else {}
        summaries = {name: summary([sum(phases) for phases in rounds]) for name, rounds in samples.items()}
        eager = summaries.get("eager", (torch.nan,))[0]
        findings.timings += [
            Timing(operator.name, passed, name, *times, len(samples[name]), found.first_call_seconds[name][mode],
                   eager / times[0])
            for name, times in summaries.items()
        ]  # fmt: skip
