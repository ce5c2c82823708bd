"""Comparison with float64 truth, relative to the size of the true tensor.

The budget follows from the operators' contract: a score may be off by ``4 eps sum|v|`` (eps of the accumulation's
dtype), everything made of scores by what that implies, plus the rounding of the output's dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from seq2seq_fast.reference.precision import accumulation_dtype


def score_error(v: Tensor) -> float:
    """The most a score may be off: 4 eps sum|v|."""
    return 4 * torch.finfo(accumulation_dtype(v.dtype)).eps * float(v.detach().double().abs().sum())


def assert_near(actual: Tensor, truth: Tensor, *, error: float, roundings: int = 1, name: str = "") -> None:
    """``actual`` is within ``error`` and this many roundings of its dtype of ``truth``, relative to the largest entry.

    NaN must stand where truth has NaN, infinities where truth has them. An all-zero truth demands zeros.
    """
    assert actual.shape == truth.shape, f"{name}: shape {tuple(actual.shape)}, wanted {tuple(truth.shape)}"
    got, want = actual.detach().double().cpu(), truth.detach().double().cpu()
    odd = ~want.isfinite()
    assert torch.equal(got[odd].nan_to_num(7.0), want[odd].nan_to_num(7.0)), f"{name}: NaN or inf differ from truth"
    got, want = got[~odd], want[~odd]
    if want.numel() == 0:
        return
    assert bool(got.isfinite().all()), f"{name}: NaN or inf where truth is finite"
    scale = float(want.abs().max())
    allowed = scale * (error + roundings * torch.finfo(actual.dtype).eps)
    off = float((got - want).abs().max())
    assert off <= allowed, f"{name}: off by {off:.3g}, allowed {allowed:.3g} at scale {scale:.3g}"


def double(tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
    """float64 copies on the CPU that require gradients where the originals do."""

    def copy(t: Tensor) -> Tensor:
        return t.detach().double().cpu().requires_grad_(t.requires_grad) if t.is_floating_point() else t.cpu()

    return [None if t is None else copy(t) for t in tensors]


def gradients(function: Callable[..., Sequence[Tensor | None]], inputs: Sequence[Tensor | None], seed: int = 0):
    """Outputs of ``function(*inputs)`` and the gradients of a random projection of all of them.

    The projection is drawn in float64 on the CPU and rounded to each output's dtype, so that two precisions of the
    same call see the same cotangents.
    """
    outputs = [o for o in function(*inputs) if o is not None]
    generator = torch.Generator().manual_seed(seed)
    cotangents = [
        torch.randn(o.shape, generator=generator, dtype=torch.float64).bfloat16().to(o.dtype).to(o.device)
        for o in outputs
    ]
    pairs = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
    wanted = [t for t in inputs if t is not None and t.requires_grad]
    grads = (
        torch.autograd.grad([o for o, _ in pairs], wanted, [c for _, c in pairs], allow_unused=True)
        if pairs
        else [None] * len(wanted)
    )
    return outputs, [torch.zeros_like(t) if g is None else g for t, g in zip(wanted, grads, strict=True)]
