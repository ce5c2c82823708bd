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

from torch import Tensor

from build_support import cuda
from build_support.cuda_kernels import compile_ptx
from seq2seq_fast.cuda_kernels import implement
from seq2seq_fast.cuda_kernels.engine import DTYPES, Engine
from seq2seq_fast.cuda_kernels.plan import Device
from seq2seq_fast.ops.backends import BackendStatus, register_backend
from seq2seq_fast.ops.schemas import declare
from tests.emulators import ptx
from tests.emulators.cudafiber import module
from tests.emulators.cudafiber.compiler import CSRC, ROOT
from tests.emulators.cudafiber.launches import Launch, LaunchTaker

BACKEND = "executed_ptx"
CACHE = ROOT / "build" / "ptx"
ENTRY = re.compile(r"^\.entry (\w+)\(.*?^}$", re.DOTALL | re.MULTILINE)
# What says in a demangled name which kernel it is: attend_kernel<float, 4, 1>.
KERNEL = re.compile(r"::(\w+_kernel(?:<[^()]*>)?)\(")


class PtxEngine(Engine):
    """Runs every launch in the interpreter. `executed` holds what ran since it was cleared, by kernel and instance.

    Where `reports` is a dictionary, it gets what each of them counted.
    """

    def __init__(self, module: ModuleType, path: Path) -> None:
        super().__init__(module)
        self.executed: set[str] = set()
        self.order = 0
        self.shared_bytes = 227 * 1024
        self.reports: dict[str, ptx.LaunchReport] | None = None
        self._taker = LaunchTaker(path)
        self._names = _functions(path, self._taker.library)

    def device(self, like: Tensor) -> Device:
        """One that has no cooperative launch: the decoder takes a few launches a position."""
        return Device(4, self.shared_bytes, False)

    def launch(self, name: str, like: Tensor, *arguments: Tensor | int | bool | None) -> None:
        tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
        with self._taker.taking(functools.partial(self._run, tensors)):
            super().launch(name, like, *arguments)

    def _run(self, tensors: list[Tensor], launch: Launch) -> None:
        name = self._names[launch.kernel]
        self.order += 1
        module, entry = instance(name)
        report = module.launch(
            entry, grid=launch.grid, block=launch.block, shared=launch.shared, order=self.order,
            args=[ptx.Raw(piece, tensors) for piece in launch.parameters], traffic=self.reports is not None,
        )  # fmt: skip
        self.executed.add(name)
        if self.reports is not None:
            self.reports[name] = report


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
    made = PtxEngine(module.module(), module.path())
    implement(declare(BACKEND), made, "CPU")
    register_backend(BACKEND, BackendStatus(True, True, ("cpu",), tuple(DTYPES), "executed PTX, for tests"))
    return made
