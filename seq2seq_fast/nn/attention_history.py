"""Additive attention that knows where it has attended before: location features and coverage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from seq2seq_fast.nn.additive_attention import AdditiveAttention
from seq2seq_fast.nn.modules import parameter_dtype
from seq2seq_fast.ops.attention_memory import AttentionMemory
from seq2seq_fast.ops.autograd import cast_like, no_autocast
from seq2seq_fast.ops.checks import check_choice, check_tensor
from seq2seq_fast.ops.record import Record, register_record
from seq2seq_fast.reference import additive_attention as reference
from seq2seq_fast.reference import attention_history as features
from seq2seq_fast.reference.precision import accumulation_dtype

HISTORIES = ("location", "cumulative", "coverage")


@register_record
@dataclass(frozen=True, eq=False, repr=False)
class AttentionHistory(Record):
    """Where a batch has attended before.

    Attributes:
        attended: [B, Tx], or [B, K, Tx] with beams, in the accumulation dtype: the last weights, or the sum of all.
        fertility: [B, Tx], what each source position may be attended to in all; None where that is not asked for.
    """

    attended: Tensor
    fertility: Tensor | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> AttentionHistory:
        """The function applied to what changes from position to position."""
        return replace(self, attended=function(self.attended))

    def _to(self, device: torch.device | None, dtype: torch.dtype | None, non_blocking: bool) -> AttentionHistory:
        return super()._to(device, None if dtype is None else accumulation_dtype(dtype), non_blocking)


class HistoryAttention(AdditiveAttention):
    """``weights_ij = softmax_j(v^T tanh(W q_i + U k_j + b + V f_ij))``, where f_ij tells of the weights before i.

    - "location": ``f_i = F * weights_{i-1}``, the convolution with filters F (Chorowski, Bahdanau, Serdyuk, Cho, Bengio
      2015, "Attention-Based Models for Speech Recognition", arXiv 1506.07503, eq. 8).
    - "cumulative": ``f_i = F * sum_{l<i} weights_l`` (Shen et al. 2018, arXiv 1712.05884, section 2.2).
    - "coverage": ``f_ij = sum_{l<i} weights_lj / Phi_j`` with the fertility ``Phi_j = 2 sigmoid(u^T h_j + b')`` of the
      value h_j (Tu, Lu, Liu, Liu, Li 2016, "Modeling Coverage for Neural Machine Translation", arXiv 1601.04811,
      linguistic coverage).

    Before the first query nothing has been attended to. No kernel serves this layer: it runs in the reference operators
    on every device, one query of a source (and beam) after the other::

        history = layer.first(memory)
        context, weights, history = layer.attend_next(query, memory, history)

    Called as other layers are, every query is a first one; called with ``history=`` it returns what ``attend_next``
    does.

    Args:
        query_size, key_size, attention_size: as in `AdditiveAttention`.
        value_size: D, for "coverage"; the keys' size by default.
        kind: one of the three.
        filters: how many filters F has. width: of each, odd.
    """

    forward_methods = ("memory", "first")

    def __init__(
        self,
        query_size: int,
        key_size: int,
        attention_size: int,
        kind: str,
        *,
        value_size: int | None = None,
        filters: int = 10,
        width: int = 15,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(query_size, key_size, attention_size, backend="reference", device=device, dtype=dtype)
        check_choice("kind", kind, HISTORIES)
        if width < 1 or width % 2 == 0:
            raise ValueError(f"width must be odd, so that a filter has a centre; got {width}")
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        self.kind = kind
        if kind == "coverage":
            self.fertility = nn.Linear(key_size if value_size is None else value_size, 1, **like)
            filters = 1
        else:
            self.filters = nn.Conv1d(1, filters, width, padding=width // 2, bias=False, **like)
        self.feature_size = filters
        self.feature_projection = nn.Linear(filters, attention_size, bias=False, **like)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, kind={self.kind!r}"

    def first(self, memory: AttentionMemory) -> AttentionHistory:
        """The history before the first query."""
        return self._first(memory)

    def _first(self, memory: AttentionMemory) -> AttentionHistory:
        dtype = accumulation_dtype(memory.keys.dtype)
        attended = memory.keys.new_zeros(memory.batch, memory.source_length, dtype=dtype)
        if self.kind != "coverage":
            return AttentionHistory(attended)
        return AttentionHistory(attended, features.fertility(self.fertility(memory.values).squeeze(2), dtype))

    def attend_next(
        self, query: Tensor, memory: AttentionMemory, history: AttentionHistory
    ) -> tuple[Tensor, Tensor, AttentionHistory]:
        """Attend with query [B, Q], or [B, K, Q] and a history with beams; the history returned is for the next query.

        Returns:
            context [B, D] or [B, K, D], weights [B, Tx] or [B, K, Tx], history.
        """
        return self(query, memory=memory, history=history)

    def forward(self, query: Tensor, *arguments: Any, history: AttentionHistory | None = None, **options: Any) -> Any:
        if history is None:
            return super().forward(query, *arguments, **options)
        return self._attend_next(query, options["memory"], history)

    def _attend_next(
        self, query: Tensor, memory: AttentionMemory, history: AttentionHistory
    ) -> tuple[Tensor, Tensor, AttentionHistory]:
        single = query.dim() == 2
        if single:
            check_tensor("query", query, "[B, Q]", memory.batch, self.query_size)
            query = query.unsqueeze(1)
        beams = history.attended.unsqueeze(1) if single else history.attended
        check_tensor("query", query, "[B, K, Q]", memory.batch, beams.shape[1], self.query_size)
        projected, told, v = cast_like(
            memory.keys, self.query_projection(query), self._features(beams, history), self.v
        )
        with no_autocast(query.device.type):
            keys = memory.keys.unsqueeze(1) + told
            context, weights = reference.attend(projected, keys, memory.values, v, memory.attended)
        if single:
            context, weights = context.squeeze(1), weights.squeeze(1)
        now = weights.to(history.attended.dtype)
        return context, weights, history.map(lambda before: now if self.kind == "location" else before + now)

    def attend(
        self,
        query: Tensor,
        memory: AttentionMemory,
        need_weights: bool,
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        if lengths is not None or mask is not None:
            raise ValueError("lengths and mask of a history's layer belong to its memory")
        history = self._first(memory)
        if query.dim() == 3:
            history = history.map(lambda attended: attended.unsqueeze(1).expand(-1, query.shape[1], -1))
        context, weights, _ = self._attend_next(query, memory, history)
        return context, weights if need_weights else None

    def _features(self, attended: Tensor, history: AttentionHistory) -> Tensor:
        """V f [B, K, Tx, A] of what has been attended to [B, K, Tx]."""
        dtype = parameter_dtype(self.feature_projection, attended.dtype)
        if self.kind == "coverage":
            assert history.fertility is not None
            found = features.coverage_features(attended, history.fertility, dtype)
        elif attended.numel() == 0:
            found = attended.new_zeros(*attended.shape, self.feature_size, dtype=dtype)
        else:
            found = features.location_features(attended, self.filters, dtype)
        return self.feature_projection(found)
