"""Tensors on their way into kernels and out of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def contiguous(*tensors: Tensor | None) -> tuple[Any, ...]:
    """The tensors as kernels read them."""
    return tuple(None if tensor is None else tensor.contiguous() for tensor in tensors)


def asked(gradients: Sequence[Tensor | None], like: Tensor) -> tuple[Any, ...]:
    """Gradients, an empty tensor in place of each that was not asked for."""
    return tuple(like.new_empty(0) if gradient is None else gradient for gradient in gradients)


def acc_empty(like: Tensor, *shape: int) -> Tensor:
    """Room for float32 numbers on a tensor's device."""
    return torch.empty(shape, dtype=torch.float32, device=like.device)
