"""The CUDA engine's kernels as machine code: every source compiled once a device and kept."""

from __future__ import annotations

import functools
import re
import subprocess
import tempfile
from pathlib import Path

from benchmarks.machine_code import CompiledKernel
from build_support.cuda_kernels import compile_kernels

# What says in a demangled name which kernel it is: attend_kernel<float, 4, 1>.
_KERNEL = re.compile(r"::(\w+_kernel(?:<[^()]*>)?)\(")


@functools.cache
def kernels(stem: str, capability: int) -> dict[str, tuple[str, int, bytes]]:
    """Mangled name, threads of a block and the cubin, by kernel and instance. Raises Unavailable without nvcc."""
    with tempfile.TemporaryDirectory() as folder:
        found = compile_kernels(capability, Path(folder), (stem,))
        cubin = found[0].cubin.read_bytes()
    names = instances([kernel.name for kernel in found])
    return {name: (kernel.name, kernel.threads, cubin) for name, kernel in zip(names, found, strict=True)}


def instances(mangled: list[str]) -> list[str]:
    """Kernels and their template arguments by mangled names."""
    done = subprocess.run(["c++filt"], input="\n".join(mangled), capture_output=True, text=True, check=True)
    matches = [_KERNEL.search(line) for line in done.stdout.splitlines()]
    return [match[1] if match else name for match, name in zip(matches, mangled, strict=True)]


def compiled(stem: str, instance: str, capability: int, shared_bytes: int) -> CompiledKernel:
    """A kernel for a launch with so many bytes of dynamic shared memory."""
    name, threads, cubin = kernels(stem, capability)[instance]
    return CompiledKernel(name, capability, "", cubin, threads // 32, shared_bytes, (), None)
