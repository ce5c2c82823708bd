"""The launches that the CUDA engine's launchers make, noted in place of being made."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from seq2seq_fast.cuda_kernels.plan import Device
from tests.support.executed_ptx import PtxEngine


class Taken(NamedTuple):
    instance: str
    grid: tuple[int, int, int]
    threads: int
    shared_bytes: int


class TakingEngine(PtxEngine):
    """Works on CPU tensors; results are whatever memory holds. `described` is the device that plans see."""

    described = Device(4, 227 * 1024)
    taken: list[Taken]

    def device(self, like: Tensor) -> Device:
        return self.described

    def _take(self, kernel: int, config: Any, parameters: Any, sizes: Any, count: int) -> int:
        grid, block, shared = config[0].grid, config[0].block, config[0].shared
        self.taken.append(Taken(self._names[kernel], (grid.x, grid.y, grid.z), block.x, shared))
        return 1
