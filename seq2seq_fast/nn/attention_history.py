"""Where a batch has attended before, as a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seq2seq_fast.ops.record import Record, register_record
from seq2seq_fast.reference.precision import accumulation_dtype

HISTORIES = ("location", "cumulative", "coverage")


@register_record
@dataclass(frozen=True, eq=False, repr=False)
class AttentionHistory(Record):
    """Where a batch has attended before.

    Attributes:
        attended: [B, Tx], or [B, K, Tx] with beams, in the accumulation dtype: the last weights, or the sum of all.
        fertility: [B, Tx], what each source position may be attended to in all; None where that is not asked for.
        total: the sum of all weights beside the last ones, shaped as they are; None where one of them is enough.
    """

    attended: Tensor
    fertility: Tensor | None = None
    total: Tensor | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> AttentionHistory:
        """The function applied to what changes from position to position."""
        total = None if self.total is None else function(self.total)
        return replace(self, attended=function(self.attended), total=total)

    def _to(self, device: torch.device | None, dtype: torch.dtype | None, non_blocking: bool) -> AttentionHistory:
        return super()._to(device, None if dtype is None else accumulation_dtype(dtype), non_blocking)
