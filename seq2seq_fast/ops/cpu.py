"""Loads the CPU engine (``csrc/cpu``): of the shared objects that setup.py built, the one for this processor.

Environment, read at import:
    SEQ2SEQ_FAST_CPU_CAPABILITY: the instruction set to use, "AVX512", "AVX2" or "DEFAULT", where the processor has it;
        by default the widest that the processor has and that was built (torch's own ATEN_CPU_CAPABILITY lowers it too).
    SEQ2SEQ_FAST_CPU_LIBRARY: a shared object built elsewhere to load instead, such as one with sanitizers.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import warnings
from pathlib import Path

import torch

from seq2seq_fast.ops.backends import ALL_DTYPES, BackendStatus
from seq2seq_fast.ops.schemas import declare, defined, namespace, schemas_of

# Narrowest first: a processor that has one has those before it.
CAPABILITIES = ("DEFAULT", "AVX2", "AVX512")
OLDEST_TORCH = (2, 11)


class _Unusable(Exception):
    """Why there is no CPU engine, in one line."""


def library_path(capability: str) -> Path:
    """Where setup.py puts the shared object of an instruction set."""
    return Path(__file__).parent.parent / f"_cpu_{capability.lower()}.so"


def _check_torch(version: str) -> None:
    # The engine uses PyTorch's stable C interface alone, so one build serves every torch from this one on.
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_TORCH:
        raise _Unusable(f"it needs torch {'.'.join(map(str, OLDEST_TORCH))} or later, this is {version}: upgrade torch")


def _choose(built: tuple[str, ...], reason: str, asked: str | None) -> str:
    """The capability to load. ``built`` and ``reason`` are what setup.py recorded, ``asked`` is the environment's."""
    if not built:
        raise _Unusable(f"not built: {reason}")
    detected = torch.backends.cpu.get_cpu_capability()
    here = CAPABILITIES[: 1 + (CAPABILITIES.index(detected) if detected in CAPABILITIES else 0)]
    if asked is not None:
        if asked not in CAPABILITIES:
            raise _Unusable(f"SEQ2SEQ_FAST_CPU_CAPABILITY={asked} is none of {', '.join(CAPABILITIES)}")
        if asked not in here or asked not in built:
            lacking, has = ("this processor", here) if asked not in here else ("the build", built)
            raise _Unusable(f"SEQ2SEQ_FAST_CPU_CAPABILITY={asked}, but {lacking} has only {', '.join(has)}")
        return asked
    candidates = [capability for capability in here if capability in built]
    if not candidates:
        raise _Unusable(f"built for {', '.join(built)}, this processor has {', '.join(here)}")
    return candidates[-1]


def why_not_built() -> str:
    """Where setup.py has not built anything beside this package: whether an installed one is hidden by a checkout."""
    here = Path(__file__).parent.parent
    for folder in map(Path, sys.path):
        other = folder / "seq2seq_fast"
        if (other / "_build_info.py").exists() and not other.samefile(here):
            return (
                f"the source folder {here.parent} comes before the package installed in {folder}; start Python in "
                "another folder, or build in this one with: python setup.py build_ext --inplace"
            )
    return "setup.py has not run here; build with: python setup.py build_ext --inplace"


def _load_library() -> str:
    """Load the engine; gives what to say of it. Raises _Unusable."""
    named = os.environ.get("SEQ2SEQ_FAST_CPU_LIBRARY")
    if named:
        path, what = Path(named), named
    else:
        try:
            info = importlib.import_module("seq2seq_fast._build_info")
        except ImportError:
            raise _Unusable(f"not built: {why_not_built()}") from None
        what = _choose(info.CPU_CAPABILITIES, info.CPU_REASON, os.environ.get("SEQ2SEQ_FAST_CPU_CAPABILITY"))
        _check_torch(torch.__version__)
        path = library_path(what)
    try:
        torch.ops.load_library(path)
    except OSError as error:
        raise _Unusable(f"{path.name} cannot be loaded: {' '.join(str(error).split())}") from None
    _check_schemas(path)
    return what


def _check_schemas(path: Path) -> None:
    # What the library defines was written from ops/schemas.py when it was built.
    for name, found in defined("cpu").items():
        wanted = str(torch._C.parse_schema(f"{namespace('cpu')}::{name}{schemas_of('cpu')[name]}"))
        if found != wanted:
            raise _Unusable(
                f"{path.name} was built from other sources ({name} is another operator there): build again with: "
                "python setup.py build_ext --inplace"
            )


@functools.cache
def load() -> BackendStatus:
    """Load the raw operators and declare what else they have, once; where that fails the status says why."""
    try:
        loaded = _load_library()
        declare("cpu")
        return BackendStatus(True, True, ("cpu",), ALL_DTYPES, loaded)
    except _Unusable as error:
        declare("cpu")
        built = not str(error).startswith("not built")
        if any(os.environ.get(name) for name in ("SEQ2SEQ_FAST_CPU_CAPABILITY", "SEQ2SEQ_FAST_CPU_LIBRARY")):
            raise ImportError(f"seq2seq_fast: the CPU engine that the environment asks for: {error}") from None
        if "asked for no CPU engine" not in str(error):
            warnings.warn(f"seq2seq_fast: CPU tensors are served by the slow reference: {error}", stacklevel=2)
        return BackendStatus(built, False, ("cpu",), ALL_DTYPES, str(error))
