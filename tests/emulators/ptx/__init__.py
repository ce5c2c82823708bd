"""An interpreter of PTX: runs the code that nvcc and Triton generate, on numpy arrays and CPU tensors. See README.md.

    report = ptx.load(text).launch("kernel", grid=4, block=128, args=[x, y, x.size])
    report.threads("ex2"), report.bytes("ld.global")

Threads of several blocks execute as one numpy vector. Fresh registers and shared memory hold NaN; accesses outside the
arguments, shared memory races, missing waits and barriers that threads do not reach raise errors that name the line.
"""

from tests.emulators.ptx.arguments import Raw, Struct
from tests.emulators.ptx.errors import (
    KernelTrap,
    MemoryFault,
    PtxError,
    PtxSyntaxError,
    SharedMemoryRace,
    SynchronizationError,
    UnsupportedInstruction,
)
from tests.emulators.ptx.instructions import supported
from tests.emulators.ptx.launch import Module
from tests.emulators.ptx.report import LaunchReport

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
    "load",
    "supported",
]


def load(text: str) -> Module:
    """Parse a PTX module."""
    return Module(text)
