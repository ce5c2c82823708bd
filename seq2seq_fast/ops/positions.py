"""Which positions a query attends: lengths and masks of a source, or of each of its queries, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seq2seq_fast.ops.checks import as_lengths, check_lengths, check_mask

if TYPE_CHECKING:
    from seq2seq_fast.ops.attention_memory import AttentionMemory


@dataclass(frozen=True)
class Positions:
    """What the queries of one call attend, the memory's own limits included.

    Attributes:
        lengths, mask: of the sources, [B] int64 and [B, Tx] bool, as the kernels read them; None: no such limit.
        attended: [B, 1, Tx], or [B, Tq, Tx] where it differs from query to query; None where all is attended.
    """

    lengths: Tensor | None
    mask: Tensor | None
    attended: Tensor | None

    @property
    def per_query(self) -> bool:
        """Whether queries of one source attend different positions, which lengths and mask of a source do not tell."""
        return self.attended is not None and self.attended.shape[1] > 1


def positions_of(
    memory: AttentionMemory, queries: int, lengths: Tensor | None = None, mask: Tensor | None = None
) -> Positions:
    """The memory's positions, further limited by what a call gives.

    Args:
        queries: Tq of the call.
        lengths: [B], or [B, Tq] for each query its own. Integers from 0 to Tx.
        mask: [B, Tx], [B, 1, Tx], or [B, Tq, Tx] for each query its own. bool, True attends.

    Raises:
        TypeError, ValueError: a dtype, a device, a shape or (CPU) a length is wrong.
    """
    keys = memory.keys
    batch, source, _ = keys.shape
    if lengths is None and mask is None:
        return Positions(memory.lengths, memory.mask, _with_queries(memory.attended))
    attended = _with_queries(memory.attended)
    lengths = as_lengths(lengths)
    if lengths is not None:
        lengths = _check_lengths(lengths, batch, queries, source, keys.device)
        attended = _both(attended, inside_lengths(keys, lengths))
    if mask is not None:
        mask = _check_mask(mask, batch, queries, source, keys.device)
        attended = _both(attended, mask)
    assert attended is not None
    if attended.shape[1] > 1:
        return Positions(None, None, attended)
    own_lengths = None if lengths is None else lengths[:, 0]
    if memory.lengths is not None and own_lengths is not None:
        own_lengths = torch.minimum(memory.lengths, own_lengths)
    own_mask = _both(memory.mask, None if mask is None else mask[:, 0])
    return Positions(memory.lengths if own_lengths is None else own_lengths, own_mask, attended)


def inside_lengths(sequences: Tensor, lengths: Tensor) -> Tensor:
    """[..., T] bool for sequences [B, T, ...] and lengths [...]: True before each length."""
    return torch.arange(sequences.shape[1], device=sequences.device) < lengths.unsqueeze(-1)


def _with_queries(attended: Tensor | None) -> Tensor | None:
    return None if attended is None else attended.unsqueeze(1)


def _both(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a & b


def _check_lengths(lengths: Tensor, batch: int, queries: int, source: int, device: torch.device) -> Tensor:
    """[B, 1], or [B, Tq] where each query has a length of its own."""
    if lengths.dim() == 2:
        if tuple(lengths.shape) not in ((batch, queries), (batch, 1)):
            raise ValueError(
                f"lengths must be [B] = [{batch}] or [B, Tq] = [{batch}, {queries}]; got shape {tuple(lengths.shape)}"
            )
        return check_lengths(lengths.flatten(), lengths.numel(), source, device).view(lengths.shape)
    return check_lengths(lengths, batch, source, device).unsqueeze(1)


def _check_mask(mask: Tensor, batch: int, queries: int, source: int, device: torch.device) -> Tensor:
    """[B, 1, Tx], or [B, Tq, Tx] where each query has a mask of its own."""
    if not isinstance(mask, Tensor):
        raise TypeError(f"mask must be a boolean tensor [B, Tx] or [B, Tq, Tx]; got {type(mask).__name__}")
    if mask.dim() == 2:
        mask = mask.unsqueeze(1)
    if tuple(mask.shape) not in ((batch, 1, source), (batch, queries, source)):
        raise ValueError(
            f"mask must be [B, Tx] = [{batch}, {source}], [B, 1, Tx] or [B, Tq, Tx] = [{batch}, {queries}, {source}]; "
            f"got shape {tuple(mask.shape)}"
        )
    return check_mask("mask", mask.flatten(0, 1), mask.shape[0] * mask.shape[1], source, device).view(mask.shape)
