"""Sentences of unequal length as one padded batch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seq2seq_fast.data.encoding import EncodedPair


class Batch(NamedTuple):
    """A padded batch of B sentence pairs.

    Attributes:
        source: int64 [B, Tx], each row closed by the end piece and padded behind it.
        source_lengths: int64 [B].
        target: int64 [B, Ty + 1], begin piece, pieces, end piece, padding. The decoder reads ``target[:, :-1]`` and
            predicts ``target[:, 1:]``.
        target_lengths: int64 [B], the number of predicted pieces (the end piece counts, the begin piece does not).
        numbers: int64 [B], each pair's place in the text that it comes from.
        links: int64 [N, 3], the known alignments: row, predicted piece (from 0) and the source piece that it is linked
            to; None where no pair has an alignment.
    """

    source: Tensor
    source_lengths: Tensor
    target: Tensor
    target_lengths: Tensor
    numbers: Tensor
    links: Tensor | None = None


def pad(sequences: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Return int64 [B, T] padded with ``pad_id``, and the lengths, int64 [B]."""
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
    padded = np.full((len(sequences), lengths.max()), pad_id, np.int64)
    # All at once: a tensor for each sequence takes ten times as long.
    inside = np.arange(padded.shape[1]) < lengths[:, None]
    padded[inside] = np.fromiter(chain.from_iterable(sequences), np.int64, lengths.sum())
    return torch.from_numpy(padded), torch.from_numpy(lengths)


class Collate:
    """Make a `Batch` of encoded pairs; picklable, so that worker processes can use it.

    Args:
        source_pad_id, target_pad_id: the numbers of the padding pieces.
    """

    def __init__(self, source_pad_id: int, target_pad_id: int) -> None:
        self._source_pad_id = source_pad_id
        self._target_pad_id = target_pad_id

    def __call__(self, pairs: Sequence[EncodedPair]) -> Batch:
        source, source_lengths = pad([pair.source for pair in pairs], self._source_pad_id)
        target, target_lengths = pad([pair.target for pair in pairs], self._target_pad_id)
        numbers = torch.tensor([pair.number for pair in pairs], dtype=torch.int64)
        links = [(row, t, s) for row, pair in enumerate(pairs) for s, t in pair.links or ()]
        return Batch(
            source,
            source_lengths,
            target,
            target_lengths - 1,
            numbers,
            torch.tensor(links, dtype=torch.int64) if links else None,
        )
