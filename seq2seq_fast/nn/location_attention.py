"""Additive attention that knows where it has attended before: location features and coverage."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from seq2seq_fast.nn.additive_attention import AdditiveAttention
from seq2seq_fast.nn.attention_history import HISTORIES, AttentionHistory
from seq2seq_fast.nn.mistakes import refuse_unknown
from seq2seq_fast.nn.modules import is_plain, options, parameter_dtype
from seq2seq_fast.ops.additive_attention import attend
from seq2seq_fast.ops.attention_memory import AttentionMemory
from seq2seq_fast.ops.autograd import cast_like, no_autocast
from seq2seq_fast.ops.checks import check_choice, check_tensor, watched
from seq2seq_fast.ops.positions import positions_of
from seq2seq_fast.ops.weighting import Weighting
from seq2seq_fast.reference import attention_history as features
from seq2seq_fast.reference.precision import accumulation_dtype

CHANNELS = ("last", "sum", "both", "coverage")
INITIAL = ("zeros", "uniform")


class LocationAttention(AdditiveAttention):
    """``weights_ij = softmax_j(v^T tanh(W q_i + b + U k_j + b' + V f_ij + b''))``: f_ij tells of the weights before i.

    The features f are ``F * a_i``, a convolution of filters F over channels of weights (Chorowski, Bahdanau, Serdyuk,
    Cho, Bengio 2015, "Attention-Based Models for Speech Recognition", arXiv 1506.07503, equation 8):

    - "last": ``a_i = weights_{i-1}``.
    - "sum": ``a_i = sum_{l<i} weights_l`` (Shen et al. 2018, arXiv 1712.05884, section 2.2).
    - "both": two channels, the last weights and their sum.
    - "coverage": no convolution, ``f_ij = sum_{l<i} weights_lj / Phi_j`` with the fertility ``Phi_j = 2 sigmoid(u^T h_j
      + b)`` of the value h_j (Tu, Lu, Liu, Liu, Li 2016, arXiv 1601.04811, linguistic coverage).

    One query of a source (and beam) follows the other::

        memory = layer.memory(values, lengths=lengths)
        history = layer.first(memory)
        context, weights, history = layer.attend_next(query, memory, history)

    Other projects' layers by options (A, filters and width are theirs; convolutions of two dimensions lose the one that
    is 1; a scaling of the scores goes into ``v``):

    - NVIDIA's Tacotron 2 and NeMo, ``Attention``: ``channels="both", key_bias=False``, 32 filters of 31.
    - Coqui TTS, ``OriginalAttention``: the same with ``score_bias=True, normalization="sigmoid"`` (or "softmax").
    - SpeechBrain, ``LocationAwareAttention``: ``channels="last", query_bias=True, feature_bias=True, initial="uniform",
      detach=True, output_size=...``, ``v = scaling * mlp_attn``, width ``2 kernel_size + 1``.
    - ESPnet, ``AttLoc``: ``channels="last", initial="uniform"``, ``v = scaling * gvec`` (whose bias falls out of the
      softmax), width ``2 aconv_filts + 1``.

    On a CPU the features are added inside the fused score, which stores nothing of size [B, Tx, A]; on a GPU the
    reference operators serve the layer.

    Args:
        query_size, key_size, attention_size: Q, K and A, as in `AdditiveAttention`.
        channels: one of the four.
        filters: how many F has. width: of each, odd.
        feature_bias: the bias b'' of the features' projection.
        initial: what :meth:`first` has been attended to, "zeros", or "uniform": 1 / length within each length.
        detach: no gradient through the weights before.
        output_size: of a linear layer with bias on the context; None for the context itself.
        value_size: D, for "coverage" and ``output_size``; the keys' size by default.
        options: all others of `AdditiveAttention`: ``query_bias``, ``key_bias``, ``score_bias``, ``normalization``, ...

    Parameters: those of `AdditiveAttention`; ``filters.weight`` [filters, channels, width];
    ``feature_projection.weight`` [A, filters] and ``.bias`` [A]; ``fertility.weight`` [1, D] and ``.bias`` [1];
    ``output_projection.weight`` [output_size, D] and ``.bias``.
    """

    forward_methods = ("memory", "first")

    def __init__(
        self,
        query_size: int,
        key_size: int,
        attention_size: int,
        channels: str = "both",
        *,
        filters: int = 32,
        width: int = 31,
        feature_bias: bool = False,
        initial: str = "zeros",
        detach: bool = False,
        output_size: int | None = None,
        value_size: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        super().__init__(query_size, key_size, attention_size, **like, **options)
        check_choice("channels", channels, CHANNELS)
        check_choice("initial", initial, INITIAL)
        if width < 1 or width % 2 == 0:
            raise ValueError(f"width must be odd, so that a filter has a centre; got {width}")
        self.channels, self.initial, self.detach = channels, initial, detach
        value_size = key_size if value_size is None else value_size
        if channels == "coverage":
            self.fertility = nn.Linear(value_size, 1, **like)
            filters = 1
        else:
            seen = 2 if channels == "both" else 1
            self.filters = nn.Conv1d(seen, filters, width, padding=width // 2, bias=False, **like)
        self.feature_size = filters
        self.feature_projection = nn.Linear(filters, attention_size, bias=feature_bias, **like)
        if output_size is not None:
            self.output_projection = nn.Linear(value_size, output_size, **like)
        self.output_size = output_size

    def extra_repr(self) -> str:
        shown = options(
            channels=self.channels, initial=self.initial, detach=self.detach or None, output_size=self.output_size
        )
        return f"{super().extra_repr()}, {shown}"

    def first(self, memory: AttentionMemory, weights: Tensor | None = None) -> AttentionHistory:
        """The history before the first query; of ``weights`` [B, Tx] in place of ``initial`` where they are given."""
        return self._first(memory, weights)

    def _first(self, memory: AttentionMemory, weights: Tensor | None = None) -> AttentionHistory:
        dtype = accumulation_dtype(memory.keys.dtype)
        if weights is not None:
            check_tensor("weights", weights, "[B, Tx]", memory.batch, memory.source_length)
            attended = weights.detach().to(dtype) if self.detach else weights.to(dtype)
        elif self.initial == "zeros":
            attended = memory.keys.new_zeros(memory.batch, memory.source_length, dtype=dtype)
        elif memory.attended is None:
            attended = memory.keys.new_ones(memory.batch, memory.source_length, dtype=dtype)
            attended = attended / max(memory.source_length, 1)
        else:
            attended = memory.attended.to(dtype)
            attended = attended / attended.sum(1, keepdim=True).clamp(min=1)
        fertility = None
        if self.channels == "coverage":
            fertility = features.fertility(self.fertility(memory.values).squeeze(2), dtype)
        return AttentionHistory(attended, fertility, attended if self.channels == "both" else None)

    def attend_next(
        self,
        query: Tensor,
        memory: AttentionMemory,
        history: AttentionHistory,
        *,
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, AttentionHistory]:
        """Attend with query [B, Q], or [B, K, Q] and a history with beams; the history returned is for the next query.

        Args:
            lengths, mask: what this call may attend, as in :meth:`forward`.

        Returns:
            context [B, D] or [B, K, D], weights [B, Tx] or [B, K, Tx], history.
        """
        return self(query, memory=memory, history=history, lengths=lengths, mask=mask)

    def forward(  # type: ignore[override]
        self,
        query: Tensor,
        values: Tensor | None = None,
        *,
        keys: Tensor | None = None,
        memory: AttentionMemory | None = None,
        history: AttentionHistory | None = None,
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
        need_weights: bool = True,
        **unknown: Any,
    ) -> Any:
        """As other attention layers, every query a first one; with ``history`` what :meth:`attend_next` returns."""
        refuse_unknown(unknown)
        if history is None and not watched():
            warnings.warn(
                f"{type(self).__name__} is called without history=, so every query is a first one; write "
                "history = layer.first(memory), then context, weights, history = "
                "layer.attend_next(query, memory, history)",
                stacklevel=4,
            )
        memory, lengths, mask = self._sources(query, values, keys, memory, lengths, mask)
        if history is None:
            return self.attend(query, memory, need_weights, lengths, mask)
        if not isinstance(history, AttentionHistory):
            raise TypeError(f"history must be from layer.first(memory); got {type(history).__name__}")
        return self._attend_next(query, memory, history, lengths, mask)

    def attend(
        self,
        query: Tensor,
        memory: AttentionMemory,
        need_weights: bool,
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        history = self._first(memory)
        if query.dim() == 3:
            history = history.map(lambda attended: attended.unsqueeze(1).expand(-1, query.shape[1], -1))
        context, weights, _ = self._attend_next(query, memory, history, lengths, mask)
        return context, weights if need_weights else None

    def _attend_next(
        self,
        query: Tensor,
        memory: AttentionMemory,
        history: AttentionHistory,
        lengths: Tensor | None,
        mask: Tensor | None,
    ) -> tuple[Tensor, Tensor, AttentionHistory]:
        projected = self.project_query(query, memory)
        single = query.dim() == 2
        beams = history
        if single:
            projected, beams = projected.unsqueeze(1), history.map(lambda attended: attended.unsqueeze(1))
        wanted = (memory.batch, projected.shape[1], memory.source_length)
        check_tensor("history.attended", beams.attended, "[B, Tx], or [B, K, Tx] with K beams", *wanted)
        context, weights = self._attend_with(projected, self._features(beams), memory, lengths, mask)
        if self.output_size is not None:
            context = self.output_projection(context)
        if single:
            context, weights = context.squeeze(1), weights.squeeze(1)
        return context, weights, self._next(history, weights)

    def _next(self, history: AttentionHistory, weights: Tensor) -> AttentionHistory:
        now = (weights.detach() if self.detach else weights).to(history.attended.dtype)
        if self.channels == "last":
            return replace(history, attended=now)
        if history.total is None:
            return replace(history, attended=history.attended + now)
        return replace(history, attended=now, total=history.total + now)

    def _features(self, history: AttentionHistory) -> Tensor:
        """f, [B, K, Tx, filters], of a history with beams."""
        attended = history.attended
        dtype = parameter_dtype(self.feature_projection, attended.dtype)
        if self.channels == "coverage":
            assert history.fertility is not None
            return features.coverage_features(attended, history.fertility, dtype)
        if attended.numel() == 0:
            return attended.new_zeros(*attended.shape, self.feature_size, dtype=dtype)
        channels = [attended] if history.total is None else [attended, history.total]
        return features.location_features(torch.stack(channels, dim=2), self.filters, dtype)

    def _attend_with(
        self, query: Tensor, found: Tensor, memory: AttentionMemory, lengths: Tensor | None, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Context and weights of projected queries [B, K, A] with features [B, K, Tx, filters]."""
        (bias,) = cast_like(memory.keys, self.score_bias)
        dropout = self.dropout if self.training else 0.0
        project = self.feature_projection
        if is_plain(project, nn.Linear):
            # What the filters have found is the operator's history, and their projection its filters, of width 1.
            context, weights = attend(
                query if project.bias is None else query + project.bias, memory, self.v, lengths=lengths, mask=mask,
                history=found.transpose(2, 3), filters=project.weight.unsqueeze(2), activation=self.activation,
                normalization=self.normalization, bias=bias, clip=self.clip, dropout=dropout, backend=self.backend,
            )  # fmt: skip
            assert weights is not None
            return context, weights
        attended = positions_of(memory, query.shape[1], lengths, mask).attended
        dtype = accumulation_dtype(memory.keys.dtype)
        query, told, v = (part.to(dtype) for part in cast_like(memory.keys, query, project(found), self.v))
        with no_autocast(query.device.type):
            inside = query.unsqueeze(2) + memory.keys.to(dtype).unsqueeze(1) + told
            scores = (torch.tanh if self.activation == "tanh" else torch.relu)(inside) @ v
            weights = Weighting(self.normalization, bias, self.clip, dropout).weights(scores, attended)
            context = torch.bmm(weights, memory.values.to(dtype))
        return context.to(memory.values.dtype), weights.to(memory.values.dtype)


class HistoryAttention(LocationAttention):
    """`LocationAttention` under the names that model configurations have for its channels.

    Args:
        kind: "location" (the last weights), "cumulative" (their sum) or "coverage".
        filters, width: as there, 10 of 15 by default. All others as there.
    """

    def __init__(
        self,
        query_size: int,
        key_size: int,
        attention_size: int,
        kind: str,
        *,
        filters: int = 10,
        width: int = 15,
        **options: Any,
    ) -> None:
        check_choice("kind", kind, HISTORIES)
        channels = {"location": "last", "cumulative": "sum"}.get(kind, kind)
        super().__init__(query_size, key_size, attention_size, channels, filters=filters, width=width, **options)
        self.kind = kind

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, kind={self.kind!r}"
