"""Tensors that are shapes alone, on the meta device, and what the report asks of a tensor."""

from __future__ import annotations

import torch
from torch import Tensor


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def source(batch: int, positions: int, units: int, size: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Keys, values, exponentials and whether they are in range."""
    return (
        meta(batch, positions, units, dtype=dtype), meta(batch, positions, size, dtype=dtype),
        meta(batch, positions, units), meta(batch, dtype=torch.bool),
    )  # fmt: skip


def size_of(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def storage_of(tensor: Tensor) -> int:
    """What two views of one tensor have in common, as long as it lives."""
    return tensor.untyped_storage()._cdata


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
