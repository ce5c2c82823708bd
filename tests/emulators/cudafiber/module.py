"""The launchers of csrc/cuda as a Python module whose kernels run on fibers."""

from __future__ import annotations

import functools
import importlib.util
import os
import sysconfig
from pathlib import Path

from tests.emulators.cudafiber import compiler

SOURCES = compiler.CSRC / "cuda"


def build_module(*flags: str):
    """Path of the Python module of all launchers, compiled with the emulation's headers."""
    include = f"-I{sysconfig.get_paths()['include']}"
    sources = [*sorted(SOURCES.glob("*.cu")), SOURCES / "bindings.cpp"]
    return compiler.build(
        sources, "_cuda", shared=True,
        flags=("-O1", "-fvisibility=hidden", "-fno-strict-aliasing", *compiler.ALIGNMENT, include, *flags),
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
