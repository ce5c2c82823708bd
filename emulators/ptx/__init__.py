"""An interpreter of PTX: runs the code that nvcc and Triton generate, on numpy arrays and CPU tensors.

    report = ptx.load(text).launch("kernel", grid=4, block=128, args=[x, y, x.size])
    report.threads("ex2"), report.bytes("ld.global")

    report = ptx.launch_triton(add_kernel, (4,), [x, y, out, n], {"BLOCK": 1024}, num_warps=4)

Threads of several blocks execute as one numpy vector. Fresh registers and shared memory hold NaN; accesses outside the
arguments, shared memory races, missing waits and barriers that threads do not reach raise errors that name the line.
"""

from emulators.ptx.arguments import Raw, Struct
from emulators.ptx.errors import (
    KernelTrap,
    MemoryFault,
    PtxError,
    PtxSyntaxError,
    SharedMemoryRace,
    SynchronizationError,
    UnsupportedInstruction,
)
from emulators.ptx.instructions import supported
from emulators.ptx.launch import Module
from emulators.ptx.report import LaunchReport
from emulators.ptx.triton_launch import launch_triton

__all__ = [
    "KernelTrap",
    "LaunchReport",
    "MemoryFault",
    "Module",
    "PtxError",
    "PtxSyntaxError",
    "Raw",
    "SharedMemoryRace",
    "Struct",
    "SynchronizationError",
    "UnsupportedInstruction",
    "launch_triton",
    "load",
    "supported",
]


def load(text: str) -> Module:
    """Parse a PTX module."""
    return Module(text)
