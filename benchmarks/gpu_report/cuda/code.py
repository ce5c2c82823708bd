"""The CUDA engine's kernels as machine code: every source compiled once, assembled once a device, and kept."""

from __future__ import annotations

import functools
import re
import subprocess
import tempfile
from pathlib import Path

from benchmarks.gpu_report.machine_code.kernel import CompiledKernel
from build_support import cuda
from build_support.cuda_kernels import ENTRY, compile_ptx

# What says in a demangled name which kernel it is: attend_kernel<float, 4, 1>.
_KERNEL = re.compile(r"::(\w+_kernel(?:<[^()]*>)?)\(")


@functools.cache
def ptx(stem: str) -> str:
    """What ships of a source for every device. Raises Unavailable without nvcc."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "kernels.ptx")
        compile_ptx(cuda.SOURCES / f"{stem}.cu", target)
        return target.read_text()


@functools.cache
def cubin(stem: str, capability: int) -> bytes:
    """A source's kernels for one compute capability. Raises as :func:`ptx`."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "kernels.ptx"), Path(folder, "kernels.cubin")
        source.write_text(ptx(stem))
        command = [cuda.find_nvcc(), f"-arch=sm_{capability}", "-cubin", str(source), "-o", str(target)]
        subprocess.run(command, check=True, capture_output=True, text=True)
        return target.read_bytes()


@functools.cache
def entries(stem: str) -> dict[str, tuple[str, int]]:
    """Mangled name and threads of a block, by kernel and instance."""
    found = [(name, int(threads)) for name, _, threads in ENTRY.findall(ptx(stem))]
    return dict(zip(instances([name for name, _ in found]), found, strict=True))


def instances(mangled: list[str]) -> list[str]:
    """Kernels and their template arguments by mangled names."""
    done = subprocess.run(["c++filt"], input="\n".join(mangled), capture_output=True, text=True, check=True)
    matches = [_KERNEL.search(line) for line in done.stdout.splitlines()]
    return [match[1] if match else name for match, name in zip(matches, mangled, strict=True)]


def compiled(stem: str, instance: str, capability: int, shared_bytes: int) -> CompiledKernel:
    """A kernel for a launch with so many bytes of dynamic shared memory."""
    name, threads = entries(stem)[instance]
    code = cubin(stem, capability)
    return CompiledKernel(name, capability, ptx(stem), code, threads // 32, shared_bytes, (), None)
