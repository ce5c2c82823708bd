"""The launches that the CUDA engine's launchers make, noted in place of being made."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from seq2seq_fast.cuda_kernels.plan import Device
from tests.emulators.cudafiber.launches import Launch
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

    def _run(self, tensors: list[Tensor], launch: Launch) -> None:
        self.taken.append(Taken(self._names[launch.kernel], launch.grid, launch.block[0], launch.shared))
