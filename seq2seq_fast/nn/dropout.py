"""Dropout over sequences, element by element or variational (one mask for all positions; Gal and Ghahramani 2016)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def dropout_mask(like: Tensor, *shape: int, probability: float) -> Tensor:
    """A mask of 0 and ``1 / (1 - probability)`` to multiply with, in the dtype and on the device of ``like``."""
    return F.dropout(like.new_ones(shape), probability)


def sequence_dropout(sequences: Tensor, probability: float, training: bool, variational: bool) -> Tensor:
    """Dropout on [B, T, E]; variational drops the same units at every position of a sequence."""
    if not training or probability == 0:
        return sequences
    if not variational:
        return F.dropout(sequences, probability)
    batch, _, width = sequences.shape
    return sequences * dropout_mask(sequences, batch, 1, width, probability=probability)


def check_probability(name: str, probability: float) -> None:
    if not 0 <= probability < 1:
        raise ValueError(f"{name} must be at least 0 and less than 1; got {probability}")
