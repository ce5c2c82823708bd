"""From scores to weights, where they are more than a softmax: clipping, other normalisations, a bias, dropout."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq_fast import reference
from seq2seq_fast.ops.checks import check_alike, check_choice, check_tensor
from seq2seq_fast.reference.precision import accumulation_dtype

NORMALIZATIONS = ("softmax", "sigmoid", "none")


@dataclass(frozen=True)
class Weighting:
    """How scores become weights; see :func:`seq2seq_fast.attend` for each part."""

    normalization: str = "softmax"
    bias: Tensor | None = None
    clip: float | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_choice("normalization", self.normalization, NORMALIZATIONS)
        check_clip(self.clip)
        if not isinstance(self.dropout, (int, float)) or not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be a probability from 0 up to, but not including, 1; got {self.dropout!r}")

    @property
    def plain(self) -> bool:
        """Whether it is the softmax that the kernels of ``attend`` have; a bias falls out of it."""
        return self.normalization == "softmax" and self.clip is None and self.dropout == 0

    def weights(self, scores: Tensor, attended: Tensor | None) -> Tensor:
        """scores [B, Tq, Tx] and attended [B, 1 or Tq, Tx] -> weights [B, Tq, Tx] in the accumulation dtype."""
        scores = scores.to(accumulation_dtype(scores.dtype))
        if self.bias is not None:
            scores = scores + self.bias.to(scores.dtype)
        weights = reference.normalize(clipped(scores, self.clip), attended, self.normalization)
        return F.dropout(weights, self.dropout) if self.dropout else weights


def check_bias(bias: Tensor | None, v: Tensor) -> None:
    if bias is not None:
        if isinstance(bias, Tensor) and bias.numel() == 1 and bias.dim() <= 1:
            check_alike("v", v, bias=bias)
        else:
            check_tensor("bias", bias, "[] or [1]", 1)


def check_clip(clip: float | None) -> None:
    if clip is not None and not (isinstance(clip, (int, float)) and math.isfinite(clip) and clip > 0):
        raise ValueError(f"clip must be a positive number C, for C tanh(score), or None; got {clip!r}")


def clipped(scores: Tensor, clip: float | None) -> Tensor:
    """``C tanh(score)`` (Bello, Pham, Le, Norouzi, Bengio 2016, arXiv 1611.09940, equation 16)."""
    return scores if clip is None else clip * torch.tanh(scores)
