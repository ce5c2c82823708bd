"""An engine over CPU tensors for the decoder in one launch, which does what STAND_IN says; as a program, its trial.

STAND_IN holds words such as "lstm:crash" or "gru:wrong-gradient": a cell and what its recurrence does. The engine is
the CPU's. Beside it there is ``stand_in_steps``, for the backend that serves where this one is not trusted.
"""

import functools
import os
import signal
import sys
import time

import torch

from seq2seq_fast.certificate import Subject
from seq2seq_fast.cuda_kernels.plan import Device
from seq2seq_fast.ops.backends import BackendStatus, raw, register_backend
from seq2seq_fast.ops.one_launch import Candidate
from seq2seq_fast.ops.schemas import SCHEMAS, declare

BACKEND, STEPS = "stand_in", "stand_in_steps"
served: list[str] = []  # the backends of the recurrences that ran
CPU = torch.device("cpu")


@functools.cache
def register() -> None:
    for backend in (BACKEND, STEPS):
        library = declare(backend)
        for name in SCHEMAS:
            library.impl(name, functools.partial(_run, backend, name), "CPU")


def show() -> None:
    """Make both known as backends."""
    for backend in (BACKEND, STEPS):
        register_backend(backend, BackendStatus(True, True, ("cpu",), (torch.float32,)))


def _run(backend, name, *arguments):
    found = getattr(raw("cpu"), name)(*arguments)
    if not name.startswith("attention_decoder_"):
        return found
    if name.endswith("_forward"):
        served.append(backend)
    does = dict(word.split(":") for word in os.environ.get("STAND_IN", "").split())
    cell = next(argument for argument in arguments if argument in ("gru", "lstm", "rnn"))
    return _spoilt(does.get(cell, ""), name, found) if backend == BACKEND else found


def _spoilt(behaviour, name, found):
    if behaviour == "hang":
        time.sleep(600)
    elif behaviour == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif behaviour == "wrong" or (behaviour == "wrong-gradient" and name.endswith("_backward")):
        return (found[0] * 1.01, *found[1:])
    elif behaviour == "raise":
        raise RuntimeError("no kernel image is available")
    return found


def candidate(**changes) -> Candidate:
    options = {
        "backend": BACKEND,
        "limits": lambda like: Device(4, 227 * 1024),
        "subject": lambda device: Subject(BACKEND, "a processor", "1.2", "a build", torch.__version__, "none"),
        "dtypes": (torch.float32,),
        "devices": lambda: [CPU],
        "command": (sys.executable, "-m", "tests.support.stand_in"),
    }
    return Candidate(**options | changes)


if __name__ == "__main__":
    from seq2seq_fast.doctor.trial import main
    from tests.support import stand_in

    stand_in.register()
    stand_in.show()
    main(*sys.argv[1:3], quick=True)
