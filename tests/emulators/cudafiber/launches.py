"""Launches as a device would get them: recorded, or handed to something else that runs them, in place of the fibers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class _Dim3(ctypes.Structure):
    _fields_ = [(axis, ctypes.c_uint) for axis in "xyz"]

    def extents(self) -> tuple[int, int, int]:
        return self.x, self.y, self.z


class _LaunchConfig(ctypes.Structure):
    _fields_ = [("grid", _Dim3), ("block", _Dim3), ("shared", ctypes.c_size_t), ("stream", ctypes.c_void_p)]


_Taker = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_LaunchConfig), ctypes.POINTER(ctypes.c_void_p),
    ctypes.POINTER(ctypes.c_size_t), ctypes.c_size_t,
)  # fmt: skip


class Launch(NamedTuple):
    """One launch: the kernel's address in the module, extents, bytes of shared memory, stream, bytes of parameters."""

    kernel: int
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared: int
    stream: int
    parameters: list[bytes]


class LaunchTaker:
    """Takes the launches of the module at ``path``."""

    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path))
        self._slot = ctypes.c_void_p.in_dll(self.library, "cudafiber_taker")

    @contextmanager
    def taking(self, take: Callable[[Launch], None]) -> Iterator[None]:
        """Hands each launch to ``take``, within the context; what it raises is raised at the context's end."""
        failures: list[BaseException] = []

        def taken(kernel, config, parameters, sizes, count):
            try:
                data = [ctypes.string_at(parameters[i], sizes[i]) for i in range(count)]
                of = config[0]
                take(Launch(kernel, of.grid.extents(), of.block.extents(), of.shared, of.stream or 0, data))
            except BaseException as error:  # C++ lies between here and the caller
                failures.append(error)
                return 0
            return 1

        callback = _Taker(taken)
        self._slot.value = ctypes.cast(callback, ctypes.c_void_p).value
        try:
            yield
        except RuntimeError:
            if not failures:
                raise
        finally:
            self._slot.value = None
        if failures:
            raise failures[0] from None


@contextmanager
def recorded(path: Path) -> Iterator[list[Launch]]:
    """The launches within the context; their kernels do not run."""
    launches: list[Launch] = []
    with LaunchTaker(path).taking(launches.append):
        yield launches
