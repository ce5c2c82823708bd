"""How far a tensor is from its float64 truth, beside how far it may be."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Bound:
    """The error allowed: ``absolute + scale (relative + roundings eps)``, with eps of the dtype of the result.

    The scale is ``max|truth|``, or ``floor`` times that of the largest tensor compared with it where that is more.
    Without ``absolute`` an all-zero truth demands zeros.
    """

    absolute: float = 0.0
    relative: float = 0.0
    roundings: float = 0.0
    floor: float = 0.0

    def allowed(self, scale: float, dtype: torch.dtype) -> float:
        return self.absolute + scale * (self.relative + self.roundings * torch.finfo(dtype).eps)

    def at_least(self, relative: float) -> Bound:
        return replace(self, relative=max(self.relative, relative))


EXACT = Bound()


@dataclass(frozen=True)
class Comparison:
    """One tensor beside its truth.

    Attributes:
        tensor: its name, "gradient of keys".
        where: the inputs it was found at.
        error: the largest absolute difference; infinite where shapes, NaN or infinities differ.
        allowed: the most that it may be.
        remark: what an error means that is no number; empty otherwise.
    """

    tensor: str
    where: str
    error: float
    allowed: float
    remark: str = ""

    @property
    def passed(self) -> bool:
        return self.error <= self.allowed

    @property
    def explanation(self) -> str:
        """What is wrong, in a line."""
        return f"{self.tensor}: {self.remark or f'off by {self.error:.3g}, allowed {self.allowed:.3g}'} ({self.where})"

    @property
    def share(self) -> float:
        """The part of the allowed error that is used."""
        if self.error == 0:
            return 0.0
        return math.inf if math.isnan(self.error) or self.allowed == 0 else self.error / self.allowed


def compare(tensor: str, where: str, found: Tensor, truth: Tensor, bound: Bound, floor: float = 0.0) -> Comparison:
    """``found``, of any dtype and device, beside ``truth``; NaN and infinities must stand where truth has them.

    Args:
        floor: the scale of the bound is at least this.
    """
    if found.shape != truth.shape:
        return _unlike(tensor, where, f"shape {tuple(found.shape)}, wanted {tuple(truth.shape)}")
    got, want = found.detach().double(), truth.detach().double().to(found.device)
    odd = ~want.isfinite()
    if bool((got.isfinite() & odd).any()):
        return _unlike(tensor, where, "finite where truth is NaN or infinite")
    if bool((~got.isfinite() & ~odd).any()):
        return _unlike(tensor, where, "NaN or infinite where truth is finite")
    if not torch.equal(got[odd].nan_to_num(7.0), want[odd].nan_to_num(7.0)):
        return _unlike(tensor, where, "NaN and infinities in places of one another")
    got, want = got[~odd], want[~odd]
    if want.numel() == 0:
        return Comparison(tensor, where, 0.0, 0.0)
    error, size = float((got - want).abs().max()), float(want.abs().max())
    scale = max(floor, size) if size else 0.0
    return Comparison(tensor, where, error, bound.allowed(scale, found.dtype))


def compare_zeros(tensor: str, where: str, found: Tensor, truth: Tensor) -> Comparison:
    """``found`` must be exactly 0 wherever ``truth`` is."""
    nothing = truth == 0
    if found.shape != truth.shape or not bool(nothing.any()):
        return Comparison(tensor, where, 0.0, 0.0)
    error = float(found.detach()[nothing.to(found.device)].double().abs().max())
    return Comparison(tensor, where, error, 0.0, "not exactly 0 where nothing is attended" if error else "")


def compare_bits(tensor: str, where: str, found: Tensor, again: Tensor) -> Comparison:
    """Both must be equal bit for bit, and hold no NaN."""
    found, again = found.detach(), again.detach()
    if torch.equal(found, again):
        return Comparison(tensor, where, 0.0, 0.0)
    if bool(found.isnan().any() | again.isnan().any()):
        return _unlike(tensor, where, "NaN: memory that was never written is read")
    # Infinities are subtracted as the largest numbers there are.
    error = float((found.double().nan_to_num() - again.double().nan_to_num()).abs().max())
    return Comparison(tensor, where, error, 0.0, "two runs differ")


def worst(comparisons: Iterable[Comparison]) -> Comparison | None:
    """The one that uses the largest part of its allowed error."""
    return max(comparisons, key=lambda comparison: comparison.share, default=None)


def _unlike(tensor: str, where: str, remark: str) -> Comparison:
    return Comparison(tensor, where, math.inf, 0.0, remark)
