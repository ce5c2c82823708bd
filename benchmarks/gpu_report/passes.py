"""One pass of an operator: what we launch, what libraries and eager PyTorch launch, and the bytes that it moves.

`moved` of a launch counts what programs or blocks ask of the memory system, each byte once a program: what two of them
read counts twice, though the second may find it in the cache. `least` counts each tensor of the operator that the
kernel reads or writes once; what kernels hand to each other counts as nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from benchmarks.gpu_report.eager import EagerKernel
from benchmarks.gpu_report.machine_code.kernel import CompiledKernel
from benchmarks.gpu_report.tensors import size_of, storage_of


class Launch(Protocol):
    """One launch of either engine: its kernel's name, grid, arguments, and the bytes that it moves of each tensor."""

    @property
    def name(self) -> str: ...
    @property
    def grid(self) -> tuple[int, ...]: ...
    @property
    def arguments(self) -> Mapping[str, Any]: ...
    @property
    def moved(self) -> Mapping[str, float]: ...

    def compile(self, capability: int) -> CompiledKernel: ...


@dataclass(frozen=True)
class Traced:
    """One pass of an operator: what we launch, the operator's own tensors, and what eager launches.

    `seconds` is the bound of a launch that says its own.
    """

    name: str
    dtype: torch.dtype
    units: int
    launches: Sequence[Launch]
    library: list[EagerKernel]
    tensors: list[Tensor]
    eager: list[EagerKernel]
    engine: str = "triton"
    seconds: float | None = None

    @property
    def least_bytes(self) -> int:
        """The operator's tensors, each once: what is read or written of them."""
        asked: dict[int, float] = {}
        for launch in self.launches:
            for name, amount in launch.moved.items():
                storage = storage_of(launch.arguments[name])
                asked[storage] = asked.get(storage, 0) + amount
        sizes = {storage_of(t): size_of(t) for t in self.tensors}
        return sum(min(size, round(asked.get(storage, 0))) for storage, size in sizes.items())


def least(launch: Launch, operator: Iterable[Tensor]) -> int:
    """Bytes of the operator's own tensors that a launch touches, each once."""
    own = {storage_of(tensor) for tensor in operator}
    asked = launch.moved
    touched = {
        (storage_of(value), value.storage_offset()): min(size_of(value), round(asked[name]))
        for name, value in launch.arguments.items()
        if isinstance(value, Tensor) and asked[name] and storage_of(value) in own
    }
    return sum(touched.values())
