"""The child that tries the decoder in one launch: ``python -m seq2seq_fast.doctor.trial BACKEND DEVICE``.

What it reads and writes is told in :mod:`seq2seq_fast.certificate.trial`. Each task is the doctor's checks on
:class:`~seq2seq_fast.cases.one_launch.DecoderInOneLaunch`: beside the reference in float64, products in exact float32,
numbers from a generator of its own.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import warnings
from typing import Any, TextIO

import torch

from seq2seq_fast.cases.one_launch import DecoderInOneLaunch
from seq2seq_fast.cases.race import one_line
from seq2seq_fast.certificate import Task, trusting
from seq2seq_fast.doctor.checks import CHECKS, Target, applicable
from seq2seq_fast.ops import use_tf32
from seq2seq_fast.ops.one_launch import FORMS

# Those that call it without gradients; the others record.
FORWARD = ("outputs", "NaN and infinities")


def main(backend: str, device: str, *, quick: bool = False) -> None:
    """Try what standard input asks for, and answer on standard output.

    Args:
        backend: its name.
        device: as torch names it.
        quick: small sizes alone.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # what else is printed is none
        tasks = [Task(*task) for task in json.loads(sys.stdin.readline())]
        threading.Thread(target=_end_with_parent, daemon=True).start()
        try:
            torch.zeros(1, device=device).sum().item()
            _answer(answers, ready=True)
            with trusting(), use_tf32(False), warnings.catch_warnings():
                # A device that refuses the launch would be served a few launches a position: that is no trial.
                warnings.filterwarnings("error", message="seq2seq_fast: the decoder takes a few launches")
                for number, task in enumerate(tasks):
                    _answer(answers, begin=number)
                    target = Target(backend, torch.device(device), getattr(torch, task.dtype), quick)
                    wrong = wrong_with(task, target)
                    _answer(answers, end=number, wrong=wrong)
                    if wrong and not _alive(target.device):
                        return  # another process goes on
        except RuntimeError as error:  # no context is to be had, or no memory: nothing is known of the tasks
            _answer(answers, cannot=one_line(error))


def wrong_with(task: Task, target: Target) -> str:
    """What is wrong with one, in a line; empty where nothing is."""
    cell, reset_after = FORMS[task.form]
    operator = DecoderInOneLaunch({"cell": cell, "reset_after": reset_after} if cell == "gru" else {"cell": cell})
    for name in applicable(operator, target.device):
        if (name in FORWARD) != (task.passed == "forward"):
            continue
        try:
            compared = list(CHECKS[name](operator, target))
            if target.device.type == "cuda":
                torch.cuda.synchronize(target.device)
        except torch.OutOfMemoryError:
            raise  # the fault of others on the device
        except Exception as error:
            return f"{name}: {one_line(error)}"
        failed = next((comparison for comparison in compared if not comparison.passed), None)
        if failed is not None:
            return f"{name}: {failed.explanation}"
    return ""


def _alive(device: torch.device) -> bool:
    """Whether anything can still run: not after an illegal access."""
    try:
        return torch.zeros(1, device=device).sum().item() == 0
    except RuntimeError:
        return False


def _answer(answers: TextIO, **content: Any) -> None:
    print(json.dumps(content), file=answers, flush=True)


def _end_with_parent() -> None:
    """Standard input ends when the parent does, and then nobody wants an answer."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:3])
