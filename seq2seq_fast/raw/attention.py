"""What is attended to, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from seq2seq_fast.raw.tensors import contiguous


class Source(NamedTuple):
    """A batch of sources.

    Attributes:
        keys: [B, Tx, A]. values: [B, Tx, D].
        exponentials: [B, Tx, A] float32, of the keys. in_range: [B] bool, whether a source's exponentials serve.
        v: [A].
        lengths: [B] or None. mask: [B, Tx] bool or None.
    """

    keys: Tensor
    values: Tensor
    exponentials: Tensor
    in_range: Tensor
    v: Tensor
    lengths: Tensor | None
    mask: Tensor | None


class AttendBackward(NamedTuple):
    """The arguments of ``attend_backward``; ``needs`` are for query, keys, values and v."""

    grad_context: Tensor
    grad_weights: Tensor | None
    query: Tensor
    source: Source
    context: Tensor
    weights: Tensor
    logsumexp: Tensor
    needs: Sequence[bool]

    @classmethod
    def of(
        cls, grad_context, grad_weights, query, keys, values, exponentials, in_range, v, lengths, mask, context,
        weights, logsumexp, needs,
    ) -> AttendBackward:  # fmt: skip
        """From the schema's flat list; the source is contiguous."""
        source = Source(*contiguous(keys, values, exponentials, in_range, v, lengths, mask))
        return cls(grad_context, grad_weights, query, source, context, weights, logsumexp, needs)
