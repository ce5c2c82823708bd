"""Devices that are not there: everything up to a launch happens as on a GPU, and the launch itself is counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from benchmarks.gpu_report.cuda.launches import Module
from benchmarks.gpu_report.machine_code.devices import LIMITS, Rates
from seq2seq_fast.cuda_kernels.engine import Engine
from seq2seq_fast.cuda_kernels.plan import Device

# Triton keeps compiled kernels by the device's number: no GPU may get what was made for none.
NUMBER = 1 << 20


class Count:
    """Launches since it was made."""

    launches = 0


class _Utilities:
    """Of Triton's driver: loads nothing."""

    def __init__(self, properties: dict[str, int]) -> None:
        self._properties = properties

    def get_device_properties(self, device: int) -> dict[str, int]:
        return self._properties

    def load_binary(self, name: str, kernel: bytes, shared: int, device: int) -> tuple[int, int, int, int, int]:
        return 0, 1, 32, 0, 1024  # module, function, registers, spills, threads at most

    def unload_module(self, module: int) -> None:
        pass


class _Driver:
    """What Triton asks of the driver of the current device."""

    def __init__(self, rates: Rates, count: Count) -> None:
        from triton.backends.compiler import GPUTarget

        self._target = GPUTarget("cuda", rates.capability, 32)
        shared = LIMITS[rates.capability].shared_per_block
        self.utils = _Utilities({"max_shared_mem": shared, "multiprocessor_count": rates.multiprocessors})

        class Launcher:
            launch_cooperative_grid = False

            def __init__(self, source: Any, metadata: Any) -> None:
                pass

            def __call__(self, *arguments: Any) -> None:
                count.launches += 1

        self.launcher_cls = Launcher

    def get_current_device(self) -> int:
        return NUMBER

    def get_current_stream(self, device: int | None = None) -> int:
        return 0

    def get_current_target(self) -> Any:
        return self._target

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cpu")


@contextmanager
def no_triton_device(rates: Rates) -> Iterator[Count]:
    """Triton's kernels are compiled for a device, at their first launch, and launched nowhere."""
    from torch._library.triton import set_wrap_triton_enabled
    from triton.runtime.driver import driver

    count, before = Count(), driver._active
    driver.set_active(_Driver(rates, count))
    try:
        with set_wrap_triton_enabled(False):
            yield count
    finally:
        driver._active = before


class _Launchers(Module):
    """The CUDA engine's module: each launcher takes its arguments and returns."""

    def __init__(self, count: Count) -> None:
        self._count = count

    def _launch(self, *arguments: int) -> None:
        self._count.launches += 1

    def __getattr__(self, name: str) -> Any:
        return self._launch


class CudaEngine(Engine):
    """The CUDA engine as it ships, for a device; ``count`` has its launches."""

    def __init__(self, device: Device) -> None:
        self.count = Count()
        self._described = device
        super().__init__(_Launchers(self.count))  # type: ignore[arg-type]

    def device(self, like: torch.Tensor) -> Device:
        return self._described
