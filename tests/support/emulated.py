"""The CUDA engine on CPU tensors: the kernels that ship, compiled by g++, behind the raw operators as a backend."""

from __future__ import annotations

import functools

from seq2seq_fast.cuda_kernels import implement
from seq2seq_fast.cuda_kernels.engine import DTYPES, Engine
from seq2seq_fast.ops.backends import BackendStatus, register_backend
from seq2seq_fast.ops.schemas import declare
from tests.emulators.cudafiber.module import module
from tests.support.engines import Engine as TestedEngine

BACKEND = "cudafiber"


@functools.cache
def emulated() -> TestedEngine:
    """Register the backend, once."""
    implement(declare(BACKEND), Engine(module()), "CPU")
    register_backend(BACKEND, BackendStatus(True, True, ("cpu",), tuple(DTYPES), "emulated, for tests"))
    return TestedEngine(BACKEND, "cpu")
