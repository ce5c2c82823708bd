"""The launches of the CUDA engine for a device that is not here: kernel, grid, shared memory and bytes.

The engine's own host code runs, on meta tensors, over a stand-in of its compiled module; a launch is noted in place of
being made. `launchers` says what a launcher of csrc/cuda/launchers.h would start, which tests hold against the
launchers that ship.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from benchmarks.gpu_report.cuda import code, decoder_launchers, launchers
from benchmarks.gpu_report.cuda.launchers import attention_chunk, key_exponentials_parts, score_backward_plan
from benchmarks.gpu_report.machine_code.kernel import CompiledKernel
from build_support import cuda
from seq2seq_fast.cuda_kernels.engine import Engine
from seq2seq_fast.cuda_kernels.plan import Device, product_stride
from seq2seq_fast.cuda_kernels.plan_backward import part_depth

LAUNCHES = {**launchers.LAUNCHES, **decoder_launchers.LAUNCHES}
_LAUNCHER = re.compile(r"cudaError_t (\w+)\((.*?)\);", re.DOTALL)
_PARAMETER = re.compile(r"(\w+)\s*(?:,|$)")


class CudaLaunch(NamedTuple):
    """One launch: the source's stem, the kernel's instance, its grid, bytes of shared memory, and the tensors that it
    reads or writes with the bytes that it moves of each."""

    stem: str
    instance: str
    grid: tuple[int, ...]
    shared_bytes: int
    arguments: Mapping[str, Any]
    moved: Mapping[str, float]

    @property
    def name(self) -> str:
        return f"{self.stem}.{self.instance.partition('<')[0]}"

    def compile(self, capability: int) -> CompiledKernel:
        """The machine code. Raises Unavailable where there is no nvcc."""
        return code.compiled(self.stem, self.instance, capability, self.shared_bytes)


@functools.cache
def parameters() -> dict[str, tuple[str, ...]]:
    """The names of every launcher's parameters but for its stream, from the header."""
    text = re.sub(r"//.*", "", (cuda.SOURCES / "launchers.h").read_text())
    return {name: tuple(_PARAMETER.findall(listed))[:-1] for name, listed in _LAUNCHER.findall(text)}


class Module:
    """What the engine asks of its compiled module besides launches."""

    attention_chunk = staticmethod(attention_chunk)
    key_exponentials_parts = staticmethod(key_exponentials_parts)
    score_backward_plan = staticmethod(score_backward_plan)

    def decoder_stride(self, dtype: int, hidden: int) -> int:
        return product_stride(hidden, 2 if dtype else 4)

    def reversed_decoder_stride(self, dtype: int, units: int, hidden: int, gates: int, parts: int) -> int:
        return product_stride(parts * part_depth(units, hidden, gates, parts), 2 if dtype else 4)


class RecordingEngine(Engine):
    """Notes launches for a device; tensors may be of any device, meta included."""

    def __init__(self, device: Device) -> None:
        super().__init__(Module())  # type: ignore[arg-type]
        self.described = device
        self.launches: list[CudaLaunch] = []

    def device(self, like: Tensor) -> Device:
        return self.described

    def launch(self, name: str, like: Tensor, *arguments: Tensor | int | bool | None) -> None:
        named = dict(zip(parameters()[name], arguments, strict=True))
        for kernel in LAUNCHES[name](named):
            if all(kernel.grid):
                moved = {k: n for k, n in kernel.moved.items() if named[k] is not None and n}
                touched = {k: named[k] for k in moved}
                self.launches.append(
                    CudaLaunch(kernel.stem, kernel.instance, kernel.grid, kernel.shared, touched, moved)
                )
