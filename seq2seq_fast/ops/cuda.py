"""Loads the CUDA engine (``csrc/cuda``): the module that setup.py built where nvcc exists.

Its decoder in one launch serves the devices on which it was tried: :data:`CANDIDATE`.

It needs the CUDA driver only when it is used, and is tied to no version of torch: its launchers take addresses. Each
device is asked at the first call on it, and no other: a question opens a context, which takes hundreds of megabytes.
"""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import torch

from seq2seq_fast.certificate import Subject, kept_verdicts, nvidia_driver, triton_version
from seq2seq_fast.ops.backends import BackendStatus
from seq2seq_fast.ops.cpu import why_not_built
from seq2seq_fast.ops.one_launch import Candidate
from seq2seq_fast.ops.schemas import declare

if TYPE_CHECKING:
    from seq2seq_fast.cuda_kernels.engine import Engine

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
OLDEST_CAPABILITY = (8, 0)
NOTE = (
    "float64 is served by the reference; by default it serves decoders that run in one launch where that was tried; by "
    "name the decoder runs forward in one launch and backward in one where "
    "seq2seq_fast.cuda_kernels.plan and plan_backward say that they fit, else a few launches a position; seq2seq-fast "
    "doctor shows the plans of each device"
)


@functools.cache
def load() -> BackendStatus:
    """Declare the raw operators and implement them, once; where that fails the status says why."""
    library = declare("cuda")
    try:
        module = importlib.import_module("seq2seq_fast._cuda")
    except ModuleNotFoundError:
        return BackendStatus(False, False, ("cuda",), DTYPES, f"not built: {_why_not_built()}")
    except ImportError as error:
        return BackendStatus(True, False, ("cuda",), DTYPES, f"cannot be loaded: {error}")
    from seq2seq_fast.cuda_kernels import implement

    implement(library, engine(), "CUDA")
    if torch.cuda.device_count() == 0:
        return BackendStatus(True, False, ("cuda",), DTYPES, "torch sees no CUDA device")
    refuses = functools.cache(functools.partial(why_unusable, module))
    return BackendStatus(True, True, ("cuda",), DTYPES, NOTE, refuses, certificates)


@functools.cache
def engine() -> Engine:
    """The engine on the module; it is one for the whole process, because it remembers what devices refuse."""
    from seq2seq_fast.cuda_kernels.engine import Engine

    return Engine(importlib.import_module("seq2seq_fast._cuda"))


@functools.cache
def subject(device: torch.device) -> Subject:
    """What a verdict on the decoder in one launch is about."""
    properties = torch.cuda.get_device_properties(device)
    name = f"{properties.name}, {properties.major}.{properties.minor}, {properties.multi_processor_count}"
    return Subject("cuda", f"{name} multiprocessors", nvidia_driver(), _build(), torch.__version__, triton_version())


def _build() -> str:
    """Tells builds of the engine apart that are of one version."""
    found = Path(str(engine().module.__file__)).stat()
    return f"{found.st_size} bytes of {found.st_mtime_ns}"


def certificates() -> list[str]:
    """What is kept of this engine with these versions, on whatever device."""
    found = kept_verdicts("cuda", engine=_build(), torch=torch.__version__, triton=triton_version())
    return [str(verdict) for verdict in found]


CANDIDATE = Candidate(
    backend="cuda", limits=lambda like: engine().device(like), subject=subject, dtypes=DTYPES,
    devices=lambda: [torch.device("cuda", index) for index in range(torch.cuda.device_count())],
)  # fmt: skip


def _why_not_built() -> str:
    try:
        return importlib.import_module("seq2seq_fast._build_info").CUDA_REASON or why_not_built()
    except (ImportError, AttributeError):
        return why_not_built()


def why_unusable(module: ModuleType, device: torch.device) -> str:
    """Why the module's kernels cannot run on a device; empty where they can.

    The device is asked itself: its driver may be older than the CUDA runtime in the module, and the module may have
    been built for other devices.
    """
    capability = torch.cuda.get_device_capability(device)
    if capability < OLDEST_CAPABILITY:
        return f"{device} has compute capability {capability[0]}.{capability[1]}; 8.0 is the oldest that is served"
    try:
        with torch.cuda.device(device):
            module.device_limits()
    except RuntimeError as error:
        return f"{device} cannot run this build: {error}"
    return ""
