"""Attention without a query: bags of instances become one vector, or one for each class."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from seq2seq_fast.nn.gated_pool import gated_pool, gated_pool_reference
from seq2seq_fast.nn.masks import attended_positions, zero_where_masked
from seq2seq_fast.nn.mistakes import check_values, refuse_unknown, warn_of_empty
from seq2seq_fast.nn.modules import is_plain, options, reset_children
from seq2seq_fast.nn.sharding import ForwardMethods
from seq2seq_fast.ops.autograd import autocast_to, cast
from seq2seq_fast.ops.checks import check_alike, check_tensor, watched
from seq2seq_fast.reference.additive_attention import masked_softmax


class GatedAttentionPooling(ForwardMethods, nn.Module):
    """``weights_kj = softmax_j(w_k^T (tanh(V x_j + b) * sigmoid(U x_j + c)) + d_k)``, with no query.

    The context of score vector k is ``sum_j weights_kj x_j`` over the instances x_j of a bag.

    Ilse, Tomczak, Welling 2018, "Attention-based Deep Multiple Instance Learning", arXiv 1802.04712, equations 8 and 9.
    A bag of 100,000 instances is read in one pass: chunks, an online softmax, and backward the units of a chunk made
    again, so that nothing of size [N, A] is ever in memory. One bag keeps all threads busy.

    It is the pooling of pathology's models: CLAM's ``Attn_Net_Gated`` (``attention_a``, ``attention_b`` and
    ``attention_c`` are the three projections; without its dropout), TRIDENT's and Ilse's ``ABMIL``; with
    ``gate=False`` CLAM's ``Attn_Net``, and ``AttLayer2`` of the recommenders NAML and NRMS (``w`` is its query)::

        layer = GatedAttentionPooling(512, 256, score_vectors=classes)
        context, weights = layer(bag.unsqueeze(0))
        layer.scores(bag.unsqueeze(0))  # CLAM's A_raw

    Args:
        value_size: D. attention_size: A.
        score_vectors: K, one context for each; None for one without an axis of its own.
        gate: False leaves the sigmoid out.
        bias: biases b, c and d.

    Parameters: ``tanh_projection`` [A, D], ``gate_projection`` [A, D] and ``score_projection`` [K, A], each with
    ``.weight`` and ``.bias``.
    """

    forward_methods: ClassVar[tuple[str, ...]] = ("scores",)

    def __init__(
        self,
        value_size: int,
        attention_size: int,
        score_vectors: int | None = None,
        *,
        gate: bool = True,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        self.value_size, self.attention_size, self.score_vectors = value_size, attention_size, score_vectors
        self.tanh_projection = nn.Linear(value_size, attention_size, bias, **like)
        self.gate_projection = nn.Linear(value_size, attention_size, bias, **like) if gate else None
        self.score_projection = nn.Linear(attention_size, 1 if score_vectors is None else score_vectors, bias, **like)

    def reset_parameters(self) -> None:
        """The projections as ``torch.nn.Linear`` draws them."""
        reset_children(self)

    def extra_repr(self) -> str:
        shown = options(
            score_vectors=self.score_vectors,
            gate=None if self.gate_projection is not None else False,
            bias=None if self.score_projection.bias is not None else False,
        )
        sizes = f"{self.value_size}, {self.attention_size}"
        return f"{sizes}, {shown}" if shown else sizes

    def forward(
        self,
        values: Tensor,
        *,
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
        need_weights: bool = True,
        **unknown: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Pool bags.

        Args:
            values: [B, N, D]. Padding may hold anything, NaN included.
            lengths: [B] integers from 0 to N: instances from there on are masked.
            mask: [B, N] or [B, 1, N] bool, True attends. With both, an instance needs both.
            need_weights: return the weights, which are differentiable.

        Returns:
            context [B, K, D], and weights [B, K, N] (None without ``need_weights``); [B, D] and [B, N] without
            ``score_vectors``. A bag with nothing to attend gives zeros and gets zero gradients.

        Raises:
            TypeError, ValueError: an argument's type, dtype, device or shape is wrong.
        """
        refuse_unknown(unknown)
        context, scores, attended = self._pool(values, lengths, mask)
        weights = masked_softmax(scores, attended).to(context.dtype) if need_weights else None
        if self.score_vectors is None:
            context, weights = context.squeeze(1), None if weights is None else weights.squeeze(1)
        return context, weights

    def scores(self, values: Tensor, *, lengths: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """The scores [B, K, N] ([B, N] without ``score_vectors``), before the softmax; ``-inf`` where masked."""
        _, scores, attended = self._pool(values, lengths, mask)
        if attended is not None:
            scores = scores.masked_fill(~attended.unsqueeze(1), -torch.inf)
        return scores.squeeze(1) if self.score_vectors is None else scores

    def _pool(
        self, values: Tensor, lengths: Tensor | None, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        check_values(values)
        if isinstance(values, Tensor) and values.dim() == 2:
            raise ValueError(
                f"values must be [B, N, D]; got shape {tuple(values.shape)}: of one bag write values.unsqueeze(0)"
            )
        check_tensor("values", values, "[B, N, D]", None, None, self.value_size)
        _, attended = attended_positions(values, lengths, mask)
        if mask is not None:
            warn_of_empty(mask)
        tanh, gate, score = self.tanh_projection, self.gate_projection, self.score_projection
        if not all(is_plain(module, nn.Linear) for module in (tanh, score, *([] if gate is None else [gate]))):
            return (*self._pool_called(zero_where_masked(values, attended), attended), attended)
        weights: Any = (tanh.weight, tanh.bias, *((None, None) if gate is None else (gate.weight, gate.bias)),
                        score.weight, score.bias)  # fmt: skip
        values, *weights = cast(autocast_to(values.device.type), values, *weights)
        check_alike("values", values, weight=weights[0])
        if watched() or forward_ad._current_level >= 0:  # tracers and transforms take the formula apart themselves
            context, scores = gated_pool_reference(zero_where_masked(values, attended), tuple(weights), attended)
        else:
            context, scores = gated_pool(values, tuple(weights), attended)
        return context.to(values.dtype), scores, attended

    def _pool_called(self, values: Tensor, attended: Tensor | None) -> tuple[Tensor, Tensor]:
        """With projections that have to be called, since they are adapted, hooked or quantised."""
        units = torch.tanh(self.tanh_projection(values))
        if self.gate_projection is not None:
            units = units * torch.sigmoid(self.gate_projection(values))
        scores = self.score_projection(units).transpose(1, 2)
        return torch.bmm(masked_softmax(scores, attended).to(values.dtype), values), scores
