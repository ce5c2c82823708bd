"""Dropout over sequences, element by element or variational (one mask for all positions; Gal and Ghahramani 2016)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from seq2seq_fast.nn.decoder_state import per_beam


class DecoderDropout(nn.Module):
    """Dropout at a decoder's places, whole sequences or a position at a time.

    Args:
        places: width and probability by the place's name.
        held: the places where one mask holds for all positions of a sequence.
    """

    def __init__(self, places: Mapping[str, tuple[int, float]], held: Collection[str]) -> None:
        super().__init__()
        self.places, self.held = dict(places), frozenset(held)

    def extra_repr(self) -> str:
        return ", ".join(f"{place}={probability}" for place, (_, probability) in self.places.items() if probability)

    def masks(self, batch: int, like: Tensor) -> dict[str, Tensor]:
        """Draw the masks [B, width] that hold for all positions, in the dtype and on the device of ``like``."""
        drawn = [(name, *self.places[name]) for name in self.places if self.training and name in self.held]
        return {name: dropout_mask(like, batch, size, probability=p) for name, size, p in drawn if p > 0}

    def forward(self, units: Tensor, place: str, masks: Mapping[str, Tensor]) -> Tensor:
        """Dropout on [B, E], or [B, T or K, E], by the place's mask where one holds."""
        probability = self.places[place][1]
        if not self.training or probability == 0:
            return units
        return units * per_beam(masks[place], units) if place in masks else F.dropout(units, probability)


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


def check_probabilities(**probabilities: float) -> None:
    for name, probability in probabilities.items():
        if not 0 <= probability < 1:
            raise ValueError(f"{name} must be at least 0 and less than 1; got {probability}")
