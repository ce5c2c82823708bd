"""The CUDA engine on CPU tensors with its kernels executed as the PTX that nvcc makes of them.

The launchers are those that ship, compiled by g++ (see `cudafiber`): their launches, grids and parameters are what a
GPU would get. Each goes to the PTX interpreter, which knows the tensors of the call and nothing else.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor

from build_support import cuda
from build_support.cuda_kernels import compile_ptx
from seq2seq_fast.cuda_kernels import implement
from seq2seq_fast.cuda_kernels.engine import DTYPES, Engine
from seq2seq_fast.cuda_kernels.plan import Device
from seq2seq_fast.ops.backends import BackendStatus, register_backend
from seq2seq_fast.ops.schemas import declare
from tests.support import ptx
from tests.support.cudafiber import emulated
from tests.support.cudafiber.compiler import CSRC, ROOT

BACKEND = "executed_ptx"
CACHE = ROOT / "build" / "ptx"
ENTRY = re.compile(r"^\.entry (\w+)\(.*?^}$", re.DOTALL | re.MULTILINE)
# What says in a demangled name which kernel it is: attend_kernel<float, 4, 1>.
KERNEL = re.compile(r"::(\w+_kernel(?:<[^()]*>)?)\(")


class _Dim3(ctypes.Structure):
    _fields_ = [(axis, ctypes.c_uint) for axis in "xyz"]


class _LaunchConfig(ctypes.Structure):
    _fields_ = [("grid", _Dim3), ("block", _Dim3), ("shared", ctypes.c_size_t)]


_Taker = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_LaunchConfig), ctypes.POINTER(ctypes.c_void_p),
    ctypes.POINTER(ctypes.c_size_t), ctypes.c_size_t,
)  # fmt: skip


class PtxEngine(Engine):
    """Runs every launch in the interpreter. `executed` holds what ran since it was cleared, by kernel and instance."""

    def __init__(self, module: ModuleType, path: Path) -> None:
        super().__init__(module)
        self.executed: set[str] = set()
        self.order = 0
        library = ctypes.CDLL(str(path))
        self._slot = ctypes.c_void_p.in_dll(library, "cudafiber_taker")
        self._taker = _Taker(self._take)
        self._names = _functions(path, library)
        self._tensors: list[Tensor] = []
        self._failure: BaseException | None = None

    def device(self, like: Tensor) -> Device:
        """One that has no cooperative launch: the decoder takes a few launches a position."""
        return Device(4, 227 * 1024, False)

    def launch(self, name: str, like: Tensor, *arguments: Tensor | int | bool | None) -> None:
        self._tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
        self._slot.value = ctypes.cast(self._taker, ctypes.c_void_p).value
        try:
            super().launch(name, like, *arguments)
        except RuntimeError:
            raise (self._failure or RuntimeError(f"{name} failed before its launch")) from None
        finally:
            self._slot.value, self._failure, self._tensors = None, None, []

    def _take(self, kernel: int, config: Any, parameters: Any, sizes: Any, count: int) -> int:
        try:
            name = self._names[kernel]
            data = [ctypes.string_at(parameters[i], sizes[i]) for i in range(count)]
            grid, block = (tuple(getattr(e, axis) for axis in "xyz") for e in (config[0].grid, config[0].block))
            self.order += 1
            module, entry = instance(name)
            module.launch(
                entry, grid=grid, block=block, shared=config[0].shared, order=self.order,
                args=[ptx.Raw(piece, self._tensors) for piece in data],
            )  # fmt: skip
            self.executed.add(name)
        except BaseException as error:  # C++ lies between here and `launch`, which raises it
            self._failure = error
            return 0
        return 1


def _demangled(names: Iterable[str]) -> list[str | None]:
    done = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    found = [KERNEL.search(line) for line in done.stdout.splitlines()]
    return [match and match[1] for match in found]


def _functions(path: Path, library: ctypes.CDLL) -> dict[int, str]:
    """The kernels of a shared object by address."""
    done = subprocess.run(["nm", str(path)], capture_output=True, text=True, check=True)
    symbols = [line.split() for line in done.stdout.splitlines()]
    symbols = [parts for parts in symbols if len(parts) == 3]
    offsets = {name: int(offset, 16) for offset, _, name in symbols}
    known = ctypes.addressof(ctypes.c_void_p.in_dll(library, "cudafiber_taker"))
    base = known - offsets["cudafiber_taker"]
    kernels = [name for offset, kind, name in symbols if "_kernel" in name and kind.lower() in "tw"]
    return {base + offsets[m]: name for m, name in zip(kernels, _demangled(kernels), strict=True) if name}


@functools.cache
def _text(source: Path) -> str:
    """The PTX of a source, kept in ``build/ptx`` by content."""
    digest = hashlib.sha256()
    for path in (source, *sorted(CSRC.rglob("*.h"))):
        digest.update(path.read_bytes())
    target = CACHE / f"{source.stem}-{digest.hexdigest()[:24]}.ptx"
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(f".{os.getpid()}")
        compile_ptx(source, partial)
        partial.replace(target)
    return target.read_text()


@functools.cache
def kernels_of(source: Path) -> dict[str, tuple[str, str]]:
    """Mangled name and PTX of each kernel of a source, by kernel and instance."""
    text = _text(source)
    entries = {match[1]: match[0] for match in ENTRY.finditer(text)}
    head = text[: text.index("\n.entry") + 1]
    names = _demangled(entries)
    assert len(entries) == text.count(".entry ") and None not in names
    return {str(name): (mangled, head + body) for name, (mangled, body) in zip(names, entries.items(), strict=True)}


@functools.cache
def instance(name: str) -> tuple[ptx.Module, str]:
    """The module that holds a kernel alone, and the kernel's name there."""
    stem = re.compile(rf"\b{name.partition('<')[0]}\(")
    (source,) = [path for path in cuda.SOURCES.glob("*.cu") if stem.search(path.read_text())]
    mangled, text = kernels_of(source)[name]
    return ptx.load(text), mangled


@functools.cache
def engine() -> PtxEngine:
    """Register the backend, once."""
    made = PtxEngine(emulated.module(), emulated.path())
    implement(declare(BACKEND), made, "CPU")
    register_backend(BACKEND, BackendStatus(True, True, ("cpu",), tuple(DTYPES), "executed PTX, for tests"))
    return made
