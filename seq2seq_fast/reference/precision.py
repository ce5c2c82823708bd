"""The dtype in which the operators add."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """float64 for float64, float32 for everything narrower."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def widen(*tensors: Tensor | None) -> tuple[Any, ...]:
    """The tensors in their accumulation dtype (no copy where they have it already; None stays None)."""
    return tuple(None if t is None else t.to(accumulation_dtype(t.dtype)) for t in tensors)
