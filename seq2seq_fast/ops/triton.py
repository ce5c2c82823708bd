"""Loads the Triton engine (``seq2seq_fast/triton_kernels``) where there is a GPU for it.

With TRITON_INTERPRET=1 in the environment it serves CPU tensors instead, in Triton's interpreter: very slowly, to look
into a kernel.
"""

from __future__ import annotations

import importlib.util
import os

import torch

from seq2seq_fast.ops.backends import BackendStatus
from seq2seq_fast.ops.fakes import FAKES
from seq2seq_fast.ops.schemas import SCHEMAS, namespace

DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def interpreting() -> bool:
    """Whether Triton interprets kernels instead of compiling them."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "on", "yes", "y")


def load() -> BackendStatus:
    """Declare the raw operators if they can run here, and say what :func:`seq2seq_fast.backends` shows."""
    if importlib.util.find_spec("triton") is None:
        return BackendStatus(False, False, ("cuda",), DTYPES, "triton is not installed")
    if not interpreting() and not torch.cuda.is_available():
        return BackendStatus(True, False, ("cuda",), DTYPES, "no CUDA device is available")
    register()
    if interpreting():
        return BackendStatus(True, True, ("cpu",), DTYPES, "interpreted: TRITON_INTERPRET is set")
    return BackendStatus(True, True, ("cuda",), DTYPES)


def register() -> None:
    """Declare the raw operators, which imports triton; once a process."""
    from seq2seq_fast.triton_kernels import registration

    registration.register(namespace("triton"), SCHEMAS, FAKES)
