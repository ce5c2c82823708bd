"""One run: the environment, the equivalence suite, the timings."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch

import seq2seq_fast
from seq2seq_fast import certificate
from seq2seq_fast.cases import OPERATORS, Operator
from seq2seq_fast.cases.race import one_line
from seq2seq_fast.doctor.checks import Target, applicable, run_check
from seq2seq_fast.doctor.console import Console
from seq2seq_fast.doctor.environment import describe
from seq2seq_fast.doctor.report import CHECK_NOTE, timing_note
from seq2seq_fast.doctor.results import Check, Findings
from seq2seq_fast.doctor.timings import Settings, time_operator
from seq2seq_fast.ops import one_launch, use_tf32

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
# A machine whose cores are this busy gives timings that mean little.
_BUSY = 0.25


@dataclass(frozen=True)
class Plan:
    """What to do.

    Attributes:
        device: where.
        quick: fewer and smaller cases, no torch.compile.
        timings: time the operators too.
        operators: which.
    """

    device: torch.device
    quick: bool = False
    timings: bool = True
    operators: Sequence[Operator] = OPERATORS


class DeviceLost(Exception):
    """A kernel left the device in a state in which nothing more can run."""


def begin(plan: Plan) -> Findings:
    """Findings that hold the environment alone."""
    options = {"device": plan.device.type, "quick": plan.quick, "timings": plan.timings}
    return Findings(describe(), options)


def examine(plan: Plan, findings: Findings, console: Console) -> None:
    """Fill the findings, and tell them on the way. An interrupted run keeps what it has found until then."""
    began = time.perf_counter()
    try:
        with use_tf32(False):  # which would be measured in place of the operators
            _try_one_launch(plan, findings, console)
            served = _served(plan, findings)
            console.section(f"Checks on {plan.device.type}")
            console.note(CHECK_NOTE)
            _run_checks(plan, served, findings, console)
            if plan.timings:
                _run_timings(plan, served, findings, console)
            else:
                findings.leave_out("timings", "--no-timings leaves them out")
    except KeyboardInterrupt:
        findings.interrupted = True
    except DeviceLost as error:
        findings.lost = str(error)
    findings.seconds = time.perf_counter() - began


def _served(plan: Plan, findings: Findings) -> dict[str, list[torch.dtype]]:
    """The dtypes that each usable backend serves on the device; what is not served is noted with its reason."""
    served = {}
    for name, status in seq2seq_fast.backends().items():
        reasons = {dtype: status.why_not(torch.empty(0, dtype=dtype, device=plan.device)) for dtype in DTYPES}
        served[name] = [dtype for dtype, reason in reasons.items() if not reason]
        if not served[name]:
            del served[name]
            findings.leave_out(f"backend {name}", reasons[torch.float32])
            continue
        for dtype, reason in reasons.items():
            if reason:
                findings.leave_out(f"backend {name} in {str(dtype).removeprefix('torch.')}", reason)
    return served


def _try_one_launch(plan: Plan, findings: Findings, console: Console) -> None:
    """Make the certificates anew, each try as a check."""
    candidates = one_launch.to_try(plan.device.type)
    if candidates and not certificate.may_try():
        findings.leave_out("the decoder in one launch, tried in a process of its own", "SEQ2SEQ_FAST_CERTIFY is 0")
        return
    for candidate, device in candidates:
        console.section(f"Certificate of {candidate.backend} on {device}")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            verdict = candidate.try_now(device, again=True, progress=console.progress)
        for warning in caught:
            findings.leave_out(f"part of the certificate of {candidate.backend} on {device}", str(warning.message))
        for task, why in verdict.results.items() if verdict is not None else ():
            named = f"{task.form} {task.passed} in one launch"
            check = Check(candidate.backend, task.operator, task.dtype, named, worst=None, error=why)
            findings.checks.append(check)
            console.check(check)


def _run_checks(plan: Plan, served: dict[str, list[torch.dtype]], findings: Findings, console: Console) -> None:
    for backend, dtypes in served.items():
        for operator in plan.operators:
            for dtype in dtypes:
                target = Target(backend, plan.device, dtype, plan.quick)
                for name in applicable(operator, plan.device):
                    console.progress(f"check {len(findings.checks) + 1}: {backend}, {operator.name}, {name}")
                    check = run_check(name, operator, target)
                    if check is not None:
                        findings.checks.append(check)
                        console.check(check)
                        if check.error:
                            _stop_if_lost(plan.device, f"{backend}, {operator.name}, {check.dtype}, {name}")
    if plan.quick:
        findings.leave_out("larger sizes, and two of the decoder's four cells", "--quick leaves them out")


def _stop_if_lost(device: torch.device, after: str) -> None:
    """After an illegal access every further CUDA call fails: say so once instead of in every check."""
    if device.type != "cuda":
        return
    try:
        torch.cuda.synchronize(device)
    except Exception as error:
        raise DeviceLost(f"the device cannot go on after {after}: {one_line(error)}") from None


def _run_timings(plan: Plan, served: dict[str, list[torch.dtype]], findings: Findings, console: Console) -> None:
    console.section(f"Timings on {plan.device.type}")
    console.note(timing_note(findings))
    processor = findings.environment["processor"]
    if processor["load"] > _BUSY * (processor["cores"] or 1):
        console.note(f"Warning: the load was {processor['load']} when this began; other work makes timings worse.")
    settings = Settings(
        device=plan.device,
        backends=[name for name, dtypes in served.items() if torch.float32 in dtypes],
        place=_place(plan),
        compiled=not plan.quick,
        seconds=0.25 if plan.quick else 1.5,
    )
    if plan.quick:
        findings.leave_out("torch.compile, and the sizes of a full run", "--quick leaves them out")
    findings.leave_out("timings in 16 bits", "`python -m benchmarks --dtype bfloat16` of the repository has them")
    for operator in plan.operators:
        before, checked = len(findings.timings), len(findings.checks)
        try:
            time_operator(operator, settings, findings, console.progress)
        except Exception as error:  # what does not fit the device's memory must not stop the others
            findings.leave_out(f"timing of {operator.name}", one_line(error))
        sizes = findings.timed_at.get(operator.name, "")
        console.timings(f"{operator.name}: {sizes}", findings.checks[checked:], findings.timings[before:])
        _stop_if_lost(plan.device, f"the timing of {operator.name}")


def _place(plan: Plan) -> str:
    """A name in :data:`seq2seq_fast.cases.sizes.PLACES` that the device does in reasonable time and memory."""
    if plan.device.type != "cuda":
        return "small" if plan.quick else "multi30k"
    # Eager PyTorch at the paper's sizes, and its truth in float64, take up to about 20 GiB.
    return (
        "paper" if not plan.quick and torch.cuda.get_device_properties(plan.device).total_memory > 22e9 else "multi30k"
    )
