"""Loads the CUDA engine (``csrc/cuda``): the module that setup.py built where nvcc exists.

It needs the CUDA driver only when it is used, and is tied to no version of torch: its launchers take addresses.
"""

from __future__ import annotations

import functools
import importlib
from types import ModuleType
from typing import TYPE_CHECKING

import torch

from seq2seq_fast.ops.backends import BackendStatus
from seq2seq_fast.ops.cpu import why_not_built
from seq2seq_fast.ops.schemas import declare

if TYPE_CHECKING:
    from seq2seq_fast.cuda_kernels.engine import Engine

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
OLDEST_CAPABILITY = (8, 0)
NOTE = (
    "float64 is served by the reference; the decoder runs forward in one launch and backward in one where "
    "seq2seq_fast.cuda_kernels.plan and plan_backward say that they fit, else a few launches a position"
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
    from seq2seq_fast.cuda_kernels.engine import Engine

    engine = Engine(module)
    implement(library, engine, "CUDA")
    reason = why_unusable(module)
    return BackendStatus(True, not reason, ("cuda",), DTYPES, reason or f"{NOTE}; {_outlook(engine)}")


def _outlook(engine: Engine) -> str:
    """What the plans say of each kind of device that is here."""
    from seq2seq_fast.cuda_kernels.outlook import summary

    devices = {torch.cuda.get_device_name(i): engine.limits(i) for i in range(torch.cuda.device_count())}
    return "; ".join(f"on {name} {summary(device)}" for name, device in devices.items())


def _why_not_built() -> str:
    try:
        return importlib.import_module("seq2seq_fast._build_info").CUDA_REASON or why_not_built()
    except (ImportError, AttributeError):
        return why_not_built()


def why_unusable(module: ModuleType) -> str:
    """Why the module's kernels cannot run on this machine's devices; empty where they can.

    The current device is asked itself: its driver may be older than the CUDA runtime in the module, and the module may
    have been built for other devices.
    """
    if not torch.cuda.is_available():
        return "torch sees no CUDA device"
    oldest = min(torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count()))
    if oldest < OLDEST_CAPABILITY:
        return f"a device has compute capability {oldest[0]}.{oldest[1]}; 8.0 is the oldest that is served"
    try:
        module.device_limits()
    except RuntimeError as error:
        return f"the device cannot run this build: {error}"
    return ""
