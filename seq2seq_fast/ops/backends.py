"""Which implementation serves an operator: ``reference``, ``cpu``, ``triton`` or ``cuda``.

The choice follows the tensors' device; an explicit ``backend="..."`` is obeyed or raises. Nothing falls back silently.

Environment, read at import:
    SEQ2SEQ_FAST_BACKEND: the backend of every call that names none, as with :func:`use_backend`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from seq2seq_fast.ops.autograd import taken_as_given
from seq2seq_fast.ops.schemas import namespace

ALL_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class BackendStatus:
    """What :func:`backends` says of one backend.

    Attributes:
        built: its code is there (compiled for this torch, or importable).
        usable: it can run on this machine.
        devices: device types it serves.
        dtypes: floating point dtypes it serves.
        reason: why it is not usable, or what to know of it; empty where there is nothing to say.
        refuses: why one device cannot be served, empty if it can. It is asked of no device before a call on it.
        certificates: what trials on devices have found (:mod:`seq2seq_fast.certificate`), a line each.
    """

    built: bool
    usable: bool
    devices: tuple[str, ...]
    dtypes: tuple[torch.dtype, ...]
    reason: str = ""
    refuses: Callable[[torch.device], str] = field(default=lambda device: "", repr=False, compare=False)
    find_certificates: Callable[[], Sequence[str]] = field(default=lambda: (), repr=False, compare=False)

    @property
    def certificates(self) -> tuple[str, ...]:
        return tuple(self.find_certificates())

    def why_not(self, tensor: Tensor) -> str:
        """Why this backend cannot serve the tensor; empty if it can."""
        return self.why_not_on(tensor.device, tensor.dtype)

    def why_not_on(self, device: torch.device, dtype: torch.dtype) -> str:
        """The same of a device and a dtype."""
        if not self.usable:
            return self.reason
        if self.devices != ("any",) and device.type not in self.devices:
            return f"serves {' and '.join(self.devices)} tensors, not {device.type}"
        if dtype not in self.dtypes:
            return f"serves {', '.join(str(d).removeprefix('torch.') for d in self.dtypes)}, not {dtype}"
        return self.refuses(device)


_BACKENDS: dict[str, BackendStatus | Callable[[], BackendStatus]] = {
    "reference": BackendStatus(True, True, ("any",), ALL_DTYPES)
}
# What these cannot serve (float64 on CUDA, or an engine that its status calls unusable) goes to the reference.
_DEFAULTS: dict[str, tuple[str, ...]] = {"cpu": ("cpu",), "cuda": ("triton",)}


def register_backend(name: str, status: BackendStatus | Callable[[], BackendStatus]) -> None:
    """Make a backend known to :func:`backends` and to the operators (the engines call this at import).

    A function is called when somebody first wants to know: an import must not wake a GPU, or no process could fork
    after it.
    """
    _BACKENDS[name] = status


_loading = threading.RLock()


def _status(name: str) -> BackendStatus:
    status = _BACKENDS[name]
    if isinstance(status, BackendStatus):
        return status
    with _loading:  # operators are declared once, whichever thread calls first
        status = _BACKENDS[name]
        if not isinstance(status, BackendStatus):
            status = _BACKENDS[name] = status()
    return status


def backends() -> dict[str, BackendStatus]:
    """Every backend by name, with what it serves and why it cannot run where it cannot.

    No device is touched: what a GPU itself says against a backend shows at the first call on it.

    >>> for name, status in seq2seq_fast.backends().items():
    ...     print(name, status.usable, status.reason)
    """
    return {name: _status(name) for name in _BACKENDS}


_preferred: str | None = os.environ.get("SEQ2SEQ_FAST_BACKEND") or None


@contextmanager
def use_backend(name: str | None) -> Iterator[None]:
    """Serve every call that names no backend with this one (None: by device again), layers and models included.

    It holds for the whole process, all threads, until the block ends.

    >>> with seq2seq_fast.use_backend("reference"):
    ...     loss = model(source, lengths, target).readout.sum()
    """
    global _preferred
    check_backend(name)
    before, _preferred = _preferred, name
    try:
        yield
    finally:
        _preferred = before


def check_backend(backend: str | None) -> None:
    """Raise ValueError where the name is none of a backend."""
    if backend is not None and backend not in _BACKENDS:
        raise ValueError(f"backend={backend!r} is unknown; there are {', '.join(map(repr, _BACKENDS))}")


def named_backend(backend: str | None) -> str | None:
    """The backend that a call or its surroundings name; None where the device chooses."""
    return _preferred if backend is None else backend


def choose_backend(backend: str | None, tensor: Tensor) -> str:
    """The backend that serves ``tensor``; raises ValueError where the named one is unknown or cannot."""
    backend = named_backend(backend)
    if backend is None:
        return _default(tensor.device, tensor.dtype)
    check_backend(backend)
    reason = _why_not(backend, tensor.device, tensor.dtype)
    if reason:
        raise ValueError(f"backend={backend!r} cannot serve this call: {reason}")
    return backend


# Loading a backend and asking a device are not for torch.compile to trace, and their answers stay.
@taken_as_given
def _default(device: torch.device, dtype: torch.dtype) -> str:
    for name in _DEFAULTS.get(device.type, ()):
        if name in _BACKENDS and not _status(name).why_not_on(device, dtype):
            return name
    return "reference"


@taken_as_given
def _why_not(backend: str, device: torch.device, dtype: torch.dtype) -> str:
    reason = _status(backend).why_not_on(device, dtype)
    if reason:
        others = (repr(name) for name in _BACKENDS if not _status(name).why_not_on(device, dtype))
        reason += f"; available here: {', '.join(others)}"
    return reason


def serves(backend: str, tensor: Tensor) -> bool:
    """Whether the backend is known and can serve the tensor."""
    return backend in _BACKENDS and not _status(backend).why_not(tensor)


def raw(backend: str):
    """The raw operators of a fused backend."""
    return getattr(torch.ops, namespace(backend))
