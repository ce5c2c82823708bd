"""The CUDA engine on CPU tensors: the kernels that ship, compiled by g++, behind the raw operators as a backend."""

from __future__ import annotations

import functools
import importlib.util
import os
import sysconfig
from pathlib import Path

import pybind11

from seq2seq_fast.cuda_kernels import implement
from seq2seq_fast.cuda_kernels.engine import DTYPES, Engine
from seq2seq_fast.ops.backends import BackendStatus, register_backend
from seq2seq_fast.ops.schemas import declare
from tests.support.cudafiber import compiler
from tests.support.engines import Engine as TestedEngine

BACKEND = "cudafiber"
SOURCES = compiler.CSRC / "cuda"


def build_module(*flags: str):
    """Path of the Python module of all launchers, compiled with the emulation's headers."""
    includes = (f"-I{pybind11.get_include()}", f"-I{sysconfig.get_paths()['include']}")
    sources = [*sorted(SOURCES.glob("*.cu")), SOURCES / "bindings.cpp"]
    return compiler.build(
        sources, "_cuda", shared=True,
        flags=("-O1", "-fvisibility=hidden", "-fno-strict-aliasing", *compiler.ALIGNMENT, *includes, *flags),
    )  # fmt: skip


@functools.cache
def path() -> Path:
    """Where the module lies; CUDAFIBER_MODULE names one that is already built."""
    return Path(os.environ.get("CUDAFIBER_MODULE") or build_module())


@functools.cache
def module():
    """The launchers as a Python module."""
    spec = importlib.util.spec_from_file_location("_cuda", path())
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@functools.cache
def emulated() -> TestedEngine:
    """Register the backend, once."""
    implement(declare(BACKEND), Engine(module()), "CPU")
    register_backend(BACKEND, BackendStatus(True, True, ("cpu",), tuple(DTYPES), "emulated, for tests"))
    return TestedEngine(BACKEND, "cpu")
