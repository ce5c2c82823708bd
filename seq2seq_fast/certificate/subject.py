"""What a verdict is about, and where it lies."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from seq2seq_fast.version import __version__


@dataclass(frozen=True)
class Subject:
    """A backend on a device, with everything that a verdict must not outlive.

    Attributes:
        backend: its name.
        device: name, compute capability and multiprocessors: devices that agree in them share a verdict.
        driver: the driver's version.
        engine: the build of the engine.
        torch, triton, package: versions.
    """

    backend: str
    device: str
    driver: str
    engine: str
    torch: str
    triton: str
    package: str = __version__

    @property
    def path(self) -> Path:
        """The file of its verdict."""
        digest = hashlib.sha256("\0".join(asdict(self).values()).encode()).hexdigest()[:16]
        readable = re.sub(r"[^A-Za-z0-9]+", "-", f"{self.backend} {self.device}").strip("-")[:80]
        return cache_folder() / "certificates" / f"{readable}-{digest}.json"

    def __str__(self) -> str:
        return f"{self.device}, driver {self.driver}"


def cache_folder() -> Path:
    """Where the package keeps what can be made again."""
    named = os.environ.get("SEQ2SEQ_FAST_CACHE")
    if named:
        return Path(named).expanduser().absolute()
    # By the rule of XDG_CACHE_HOME a path that is not absolute does not count.
    base = os.environ.get("XDG_CACHE_HOME", "")
    return Path(base if os.path.isabs(base) else Path("~/.cache").expanduser(), "seq2seq_fast")


def triton_version() -> str:
    try:
        return version("triton")
    except PackageNotFoundError:
        return "none"


def nvidia_driver() -> str:
    """The version of the kernel's module where it can be read, else of the interface that the driver serves."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"Kernel Module\s.*?(\d+\.\d[\d.]*)", text)
    if found:
        return found.group(1)
    interface = getattr(torch._C, "_cuda_getDriverVersion", lambda: 0)()
    return f"for CUDA {interface // 1000}.{interface % 1000 // 10}"
