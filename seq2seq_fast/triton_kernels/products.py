"""Matrix products that accumulate and answer in float32, whatever the operands' dtype."""

from __future__ import annotations

import torch
from torch import Tensor


def product(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """[M, K] times [K, N] in float32, into ``out`` where given."""
    return _product(torch.mm, a, b, out)


def batched_product(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """[B, M, K] times [B, K, N] in float32, into ``out`` where given."""
    return _product(torch.bmm, a, b, out)


def _product(multiply, a: Tensor, b: Tensor, out: Tensor | None) -> Tensor:
    if a.dtype == torch.float32:
        return multiply(a, b) if out is None else multiply(a, b, out=out)
    if a.is_cpu:
        # Only CUDA multiplies 16-bit operands into float32; the interpreter's tensors are widened.
        return multiply(a.float(), b.float()) if out is None else multiply(a.float(), b.float(), out=out)
    return multiply(a, b, torch.float32) if out is None else multiply(a, b, torch.float32, out=out)
