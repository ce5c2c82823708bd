"""The CUDA kernels one by one, compiled for one device, for tools that look into the generated code."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from build_support import cuda
from build_support.toolchain import ROOT

ENTRY = re.compile(r"\.entry (\w+)\((.*?)\)\s*\.maxntid (\d+)", re.DOTALL)


@dataclass(frozen=True)
class CompiledKernel:
    """A kernel in machine code.

    Attributes:
        source: stem of its file in ``csrc/cuda``.
        name: mangled, as the cubin has it.
        threads: of a block, always.
        ptx, cubin: files that hold the kernels of its source. Shared memory is dynamic; the launchers say how much,
            and for ``attention_decoder`` ``seq2seq_fast.cuda_kernels.plan`` does, with the number of blocks.
    """

    source: str
    name: str
    threads: int
    ptx: Path
    cubin: Path


def compile_ptx(source: Path, target: Path) -> None:
    """What ships of a ``.cu`` file, before it is compiled for a device. Raises as :func:`compile_kernels`."""
    command = [cuda.find_nvcc(), "-std=c++17", "-O3", "-arch=compute_80", "-ptx", f"-I{ROOT / 'csrc'}"]
    subprocess.run([*command, str(source), "-o", str(target)], check=True, capture_output=True, text=True)


def compile_kernels(capability: int, directory: Path, stems: tuple[str, ...] = ()) -> list[CompiledKernel]:
    """Every kernel of these sources (default: all) for a compute capability such as 80. Raises Unavailable, or
    subprocess.CalledProcessError with the compiler's messages."""
    nvcc = cuda.find_nvcc()
    directory.mkdir(parents=True, exist_ok=True)
    found = []
    for source in sorted(cuda.SOURCES.glob("*.cu")):
        if stems and source.stem not in stems:
            continue
        ptx, cubin = directory / f"{source.stem}.{capability}.ptx", directory / f"{source.stem}.{capability}.cubin"
        compile_ptx(source, ptx)
        back = [nvcc, f"-arch=sm_{capability}", "-cubin", str(ptx), "-o", str(cubin)]
        subprocess.run(back, check=True, capture_output=True, text=True)
        entries = ENTRY.findall(ptx.read_text())
        found += [CompiledKernel(source.stem, name, int(threads), ptx, cubin) for name, _, threads in entries]
    return found
