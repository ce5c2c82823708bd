"""The least times that published rates allow."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from benchmarks.gpu_report.eager import EagerKernel
from benchmarks.gpu_report.machine_code.devices import Rates


def bound(moved_bytes: float, special: float, fp32: float, rates: Rates) -> float:
    """Seconds that a device needs at least: memory, special functions and FP32 pipes overlap perfectly."""
    return max(moved_bytes / rates.bandwidth, special / rates.special_per_second, fp32 / rates.fp32_per_second)


def eager_bound(kernels: Iterable[EagerKernel], rates: Rates, dtype: torch.dtype) -> float:
    """The same for eager's kernels, one after another."""
    return sum(kernel.seconds(rates, dtype == torch.float32) for kernel in kernels)
