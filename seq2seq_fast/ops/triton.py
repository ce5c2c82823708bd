"""Loads the Triton engine (``seq2seq_fast/triton_kernels``) where there is a GPU for it.

With TRITON_INTERPRET=1 in the environment it serves CPU tensors instead, in Triton's interpreter: very slowly, to look
into a kernel.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import warnings

import torch

from seq2seq_fast.ops import derivatives
from seq2seq_fast.ops.backends import BackendStatus
from seq2seq_fast.ops.fakes import FAKES
from seq2seq_fast.ops.schemas import SCHEMAS, namespace

DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def interpreting() -> bool:
    """Whether Triton interprets kernels instead of compiling them."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "on", "yes", "y")


def load() -> BackendStatus:
    """Declare the raw operators if they can run here, and say what :func:`seq2seq_fast.backends` shows.

    It touches no device.

    Where there is a GPU and the engine cannot run, a warning says that the reference serves CUDA tensors.
    """
    if interpreting():
        if importlib.util.find_spec("triton") is None:
            raise ImportError("seq2seq_fast: TRITON_INTERPRET is set, and triton is not installed")
        register()
        return BackendStatus(True, True, ("cpu",), DTYPES, "interpreted: TRITON_INTERPRET is set")
    built = importlib.util.find_spec("triton") is not None
    reason = why_not(built, torch.version.hip is not None, torch.cuda.device_count() > 0)
    if reason:
        return BackendStatus(built, False, ("cuda",), DTYPES, reason)
    register()
    return BackendStatus(True, True, ("cuda",), DTYPES, "float64 CUDA tensors are served by the reference")


def why_not(installed: bool, rocm: bool, gpu: bool) -> str:
    """Why the kernels cannot be compiled and run; empty if they can."""
    if installed and not rocm:
        return "" if gpu else "no CUDA device is available"
    reason = (
        "the kernels are written for NVIDIA's GPUs"
        if rocm
        else "triton is not installed: pip install 'seq2seq_fast[triton]'"
    )
    if gpu:
        reason += "; CUDA tensors are served by the slow reference"
        warnings.warn(f"seq2seq_fast: {reason}", stacklevel=3)
    return reason


_libraries: list[torch.library.Library] = []


@functools.cache
def register() -> None:
    """Declare the raw operators, which imports triton; once a process."""
    from seq2seq_fast.triton_kernels import registration

    registration.register(namespace("triton"), SCHEMAS, FAKES)
    _libraries.append(torch.library.Library(namespace("triton"), "FRAGMENT"))
    derivatives.register(_libraries[-1], SCHEMAS, override=True)
