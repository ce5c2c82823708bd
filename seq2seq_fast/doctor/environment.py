"""What the machine and the installation are: versions, compilers, devices, backends."""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import subprocess
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import seq2seq_fast
from seq2seq_fast.cuda_kernels.engine import Engine
from seq2seq_fast.cuda_kernels.outlook import outlook
from seq2seq_fast.cuda_kernels.plan import Device

# Environment variables that change what is measured.
VARIABLES = (
    "CUDA_HOME",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "PYTORCH_CUDA_ALLOC_CONF",
    "SEQ2SEQ_FAST_BACKEND",
    "SEQ2SEQ_FAST_BUILD_CPU",
    "SEQ2SEQ_FAST_BUILD_CUDA",
    "SEQ2SEQ_FAST_CACHE",
    "SEQ2SEQ_FAST_CERTIFY",
    "SEQ2SEQ_FAST_CPU_CAPABILITY",
    "SEQ2SEQ_FAST_CPU_LIBRARY",
    "TORCH_CUDA_ARCH_LIST",
    "TRITON_INTERPRET",
)
NONE_FOUND = "none found"


def describe() -> dict[str, Any]:
    """Everything that a reader of a report has to know of the machine, as JSON can hold it."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": versions(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": processor(),
        "compilers": {"C++": cpp_compiler(), "nvcc": nvcc()},
        "driver": driver(),
        "devices": devices(),
        "decoder_plans": decoder_plans(),
        "backends": backend_table(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def versions() -> dict[str, str]:
    found = {"seq2seq_fast": seq2seq_fast.__version__, "torch": torch.__version__, "triton": NONE_FOUND}
    with suppress(PackageNotFoundError):
        found["triton"] = version("triton")
    found["CUDA"] = torch.version.cuda or "none: this torch is built without CUDA"
    found["python"] = platform.python_version()
    with suppress(ImportError):
        info = importlib.import_module("seq2seq_fast._build_info")
        built = ", ".join(info.CPU_CAPABILITIES) or f"nothing ({info.CPU_REASON})"
        on_cpu = f"CPU engine: {built}, built with torch {info.TORCH_VERSION}"
        found["compiled parts"] = f"{on_cpu}; CUDA engine: {_cuda_engine(info)}"
    return found


def processor() -> dict[str, Any]:
    return {
        "name": _processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "load": round(_load(), 2),
    }


def devices() -> list[dict[str, Any]]:
    """The CUDA devices that torch sees."""
    if not torch.cuda.is_available():
        return []
    found = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        found.append(
            {
                "name": properties.name,
                "capability": f"{properties.major}.{properties.minor}",
                "multiprocessors": properties.multi_processor_count,
                "memory_gib": round(properties.total_memory / 2**30, 1),
            }
        )
    return found


def decoder_plans() -> list[dict[str, str]]:
    """Whether the CUDA engine runs a decoder in one launch on each device, at known sizes; empty where it cannot."""
    if not torch.cuda.is_available() or not seq2seq_fast.backends()["cuda"].usable:
        return []
    engine = Engine(importlib.import_module("seq2seq_fast._cuda"))
    return [row for i in range(torch.cuda.device_count()) for row in plans_of(f"cuda:{i}", engine.limits(i))]


def plans_of(name: str, device: Device) -> list[dict[str, str]]:
    return [
        {
            "device": name, "sizes": one.sizes, "cell": one.cell, "dtype": one.dtype, "forward": str(one.forward),
            "backward": str(one.backward),
        }
        for one in outlook(device)
    ]  # fmt: skip


def backend_table() -> list[dict[str, Any]]:
    """``seq2seq_fast.backends()`` as plain values."""
    return [
        {
            "name": name,
            "built": status.built,
            "usable": status.usable,
            "devices": list(status.devices),
            "dtypes": [str(dtype).removeprefix("torch.") for dtype in status.dtypes],
            "reason": status.reason,
            "certificates": list(status.certificates),
        }
        for name, status in seq2seq_fast.backends().items()
    ]


def driver() -> str:
    """The NVIDIA driver's version."""
    found = _first_line_of("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    if found and re.fullmatch(r"[\d.]+", found):
        return found
    with suppress(OSError):
        match = re.search(r"Kernel Module\s.*?(\d+\.\d[\d.]*)", Path("/proc/driver/nvidia/version").read_text())
        if match:
            return match.group(1)
    return NONE_FOUND


def cpp_compiler() -> str:
    """The compiler that torch.compile and setup.py find."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        found = _first_line_of(name, "--version") if name else ""
        if found:
            return found
    return NONE_FOUND


def nvcc() -> str:
    """The one that setup.py takes: of CUDA_HOME where that is set."""
    home = os.environ.get("CUDA_HOME")
    try:
        text = _output_of(str(Path(home, "bin", "nvcc")) if home else "nvcc", "--version")
    except (OSError, subprocess.SubprocessError):
        return NONE_FOUND
    release = re.search(r"release [\d.]+", text)
    return release.group() if release else NONE_FOUND


def _cuda_engine(info: ModuleType) -> str:
    """Whether it was built, and for which compute capabilities."""
    if info.CUDA_REASON:
        return f"not built ({info.CUDA_REASON})"
    names = [re.sub(r"(\d)(?=[af]?(\+PTX)?$)", r".\1", name) for name in getattr(info, "CUDA_ARCHITECTURES", ())]
    return f"for compute capability {', '.join(names)}" if names else "built"


def _load() -> float:
    try:
        return os.getloadavg()[0]
    except OSError:
        return 0.0


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _first_line_of(*command: str) -> str:
    try:
        return next(iter(_output_of(*command).splitlines()), "").strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _output_of(*command: str) -> str:
    program = shutil.which(command[0])
    if program is None:
        raise FileNotFoundError(command[0])
    return subprocess.run((program, *command[1:]), capture_output=True, text=True, timeout=20, check=True).stdout
