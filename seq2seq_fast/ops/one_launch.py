"""Where the decoder's recurrence runs in one launch: on devices on which that was tried, where a plan says it fits.

Nobody has run these launches on a device before its user does. So a trial in a child process comes first, once for a
device and these versions (:mod:`seq2seq_fast.certificate`); without its verdict the device's usual backend serves.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from seq2seq_fast import certificate
from seq2seq_fast.certificate import Subject, Task, Verdict
from seq2seq_fast.cuda_kernels.plan import Device, plan_decoder
from seq2seq_fast.cuda_kernels.plan_backward import plan_decoder_backward
from seq2seq_fast.ops.backends import backends, choose_backend, named_backend, serves

OPERATOR = "attention_decoder"
# The decoder's forms as words: its cell, and whether its reset gate works after the product.
FORMS: dict[str, tuple[str, bool]] = {
    "gru": ("gru", True),
    "gru-reset-before": ("gru", False),
    "lstm": ("lstm", True),
    "rnn": ("rnn", True),
}
PASSES = ("forward", "backward")
# The child's command; the backend and the device follow. It is named and not imported: it stands on a higher floor.
TRIAL = (sys.executable, "-m", "seq2seq_fast.doctor.trial")


@dataclass(frozen=True)
class Candidate:
    """A backend whose decoder in one launch would serve a type of device.

    Attributes:
        backend: its name.
        limits: what a plan needs to know of a tensor's device.
        subject: what a verdict on a device is about.
        dtypes: those that are tried.
        devices: those that there are.
        command: of the child that tries, which gets the backend and the device as arguments.
    """

    backend: str
    limits: Callable[[Tensor], Device]
    subject: Callable[[torch.device], Subject]
    dtypes: Sequence[torch.dtype]
    devices: Callable[[], Sequence[torch.device]]
    command: Sequence[str] = TRIAL
    verdicts: dict[torch.device, Verdict | None] = field(default_factory=dict, compare=False)

    def tasks(self, device: torch.device) -> list[Task]:
        """All that is tried on a device: the forms that can run in one launch there, every dtype, both passes."""
        limits = self.limits(torch.empty(0, device=device))
        forms = [form for form, call in FORMS.items() if fits(limits, *call, 1, 1, 8, 8, 4, True)]
        return [Task(OPERATOR, form, name(dtype), way) for form in forms for dtype in self.dtypes for way in PASSES]

    def verdict(self, device: torch.device) -> Verdict | None:
        """What is known of a device, by a trial where nothing is and one may be made now."""
        if device not in self.verdicts:
            subject = self.subject(device)
            found = certificate.read(subject)
            if found is None:
                if not certificate.may_try() or _capturing(device):
                    return None  # ask again at the next call
                found = self.try_now(device)
            self.verdicts[device] = found
            if found is not None:
                certificate.warn_of(found)
        return self.verdicts[device]

    def try_now(
        self, device: torch.device, *, again: bool = False, progress: Callable[[str], None] | None = None
    ) -> Verdict | None:
        """The verdict by a trial; None where there can be none."""
        command = (*self.command, self.backend, str(device))
        found = certificate.obtain(
            self.subject(device), self.tasks(device), command, again=again, progress=progress
        )  # fmt: skip
        self.verdicts[device] = found
        return found


_CANDIDATES: dict[str, Candidate] = {}


def offer(device_type: str, candidate: Candidate) -> None:
    """Let a backend's decoder in one launch serve a type of device, once it is known there."""
    _CANDIDATES[device_type] = candidate


def to_try(device_type: str) -> list[tuple[Candidate, torch.device]]:
    """Who is offered for a type of device, with each of the devices that has a verdict of its own."""
    candidate = _CANDIDATES.get(device_type)
    if candidate is None or not backends()[candidate.backend].usable:
        return []
    there = [d for d in candidate.devices() if serves(candidate.backend, torch.empty(0, device=d))]
    return [(candidate, device) for device in {candidate.subject(device): device for device in there}.values()]


def choose_for_one_launch(
    backend: str | None, inputs: Tensor, *, cell: str, reset_after: bool, positions: int, units: int, hidden: int,
    recorded: bool,
) -> str:  # fmt: skip
    """The backend for a decoder's whole recurrence.

    Args:
        backend: what the call names, or None.
        inputs: [B, Ty, E].
        cell, reset_after: its form.
        positions, units, hidden: Tx, A and H.
        recorded: gradients may be asked for.

    Raises:
        ValueError: the named backend is unknown, cannot serve the call, or was wrong when it was tried.
    """
    chosen = choose_backend(backend, inputs)
    candidate = _CANDIDATES.get(inputs.device.type)
    if candidate is None or not _plain(inputs) or certificate.trusted():
        return chosen
    named = named_backend(backend) is not None
    if not (chosen == candidate.backend if named else serves(candidate.backend, inputs)):
        return chosen
    sizes = (inputs.shape[0], positions, units, hidden, inputs.element_size(), recorded)
    if not inputs.shape[1] or not fits(candidate.limits(inputs), cell, reset_after, *sizes):
        return chosen
    verdict = candidate.verdict(inputs.device)
    if verdict is None:
        return chosen
    tasks = _tasks(cell, reset_after, inputs.dtype, recorded)
    if named and (failed := verdict.failures(*tasks)):
        told = "; ".join(f"{task}: {why}" for task, why in failed.items())
        raise ValueError(
            f"backend={chosen!r} was wrong on {verdict.subject} when it was tried: {told}; name none, "
            f"or try it again with `seq2seq-fast doctor`"
        )
    return candidate.backend if verdict.passes(*tasks) else chosen


@functools.lru_cache(maxsize=4096)
def fits(
    device: Device, cell: str, reset_after: bool, batch: int, positions: int, units: int, hidden: int, itemsize: int,
    recorded: bool,
) -> bool:  # fmt: skip
    """Whether one launch takes the recurrence, and another the reversed one where the call is recorded."""
    return all(
        planner(
            device, cell=cell, reset_after=reset_after, batch=batch, positions=positions, units=units, hidden=hidden,
            itemsize=itemsize,
        ).fits
        for planner in (plan_decoder, *[plan_decoder_backward] * recorded)
    )  # fmt: skip


@functools.cache
def _tasks(cell: str, reset_after: bool, dtype: torch.dtype, recorded: bool) -> tuple[Task, ...]:
    form = next(form for form, call in FORMS.items() if call == (cell, reset_after or cell != "gru"))
    return tuple(Task(OPERATOR, form, name(dtype), way) for way in (PASSES if recorded else PASSES[:1]))


def name(dtype: torch.dtype) -> str:
    """As torch writes it, without "torch."."""
    return str(dtype).removeprefix("torch.")


def _plain(tensor: Tensor) -> bool:
    """A tensor of a call that runs now: in a graph that is being made sizes are symbols, and answers would stay."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    return type(tensor) in (Tensor, nn.Parameter)


def _capturing(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()
