"""A compiled kernel: the registers and memory that it takes, how many fit a multiprocessor, and its code."""

from __future__ import annotations

import functools
import re
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.gpu_report.machine_code.devices import LIMITS, Occupancy, occupancy
from benchmarks.gpu_report.machine_code.sass import MachineCode, disassemble

CAPABILITIES = tuple(LIMITS)


@dataclass(frozen=True)
class Resources:
    """What a thread (registers, stack, local) or a block (shared) of a kernel takes, in bytes but for registers.

    A Triton kernel has a stack only where registers spill.
    """

    registers: int
    stack_bytes: int
    local_bytes: int
    shared_bytes: int
    constant_bytes: int

    @property
    def spill_bytes(self) -> int:
        """Bytes of a thread that went to memory for want of registers, in kernels without arrays of their own."""
        return self.stack_bytes + self.local_bytes


@dataclass(frozen=True)
class CompiledKernel:
    """A kernel compiled for one compute capability.

    `arguments` names the parameters that the compiled code takes, in order; values that the compiler took as constants
    are not among them. `dynamic_shared_bytes` is what the launch has to ask for.
    """

    name: str
    capability: int
    ptx: str
    cubin: bytes
    num_warps: int
    dynamic_shared_bytes: int
    arguments: tuple[str, ...]
    metadata: Any

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return 32 * self.num_warps

    @cached_property
    def resources(self) -> Resources:
        """Registers, spills and shared memory, static and dynamic together."""
        static = resource_usage(self.cubin, self.capability)[self.name]
        shared = static.shared_bytes + self.dynamic_shared_bytes
        return Resources(static.registers, static.stack_bytes, static.local_bytes, shared, static.constant_bytes)

    @cached_property
    def code(self) -> MachineCode:
        """The machine code."""
        return disassemble(self.cubin, tool("nvdisasm"))[self.name]

    def occupancy(self) -> Occupancy:
        """Blocks and warps a multiprocessor holds."""
        resources = self.resources
        return occupancy(
            self.capability, threads=self.threads, registers=resources.registers, shared_bytes=resources.shared_bytes
        )


def tool(name: str) -> Path:
    """A program of the CUDA toolkit that the triton wheel carries: `ptxas`, `cuobjdump` or `nvdisasm`."""
    import triton

    return Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / name


@functools.lru_cache(maxsize=16)
def resource_usage(cubin: bytes, capability: int) -> dict[str, Resources]:
    """Resources by kernel, as `cuobjdump -res-usage` tells them, without the shared memory that the system reserves."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [tool("cuobjdump"), "-res-usage", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # From 9.0 on the static figure includes what every block reserves.
    reserved = LIMITS[capability].reserved_shared if capability >= 90 else 0
    found = {}
    for name, usage in re.findall(r"Function (\S+):\s*\n\s*(REG:.*)", text):
        numbers = {key: int(value) for key, value in re.findall(r"(\w+)(?:\[\d+\])?:(\d+)", usage)}
        shared = max(0, numbers["SHARED"] - reserved)
        found[name] = Resources(numbers["REG"], numbers["STACK"], numbers["LOCAL"], shared, numbers["CONSTANT"])
    return found
