"""Additive attention as the paper writes it (Bahdanau, Cho, Bengio 2014, arXiv 1409.0473, section 3.1 and A.1.2).

``e_ij = v^T tanh(W_a s_{i-1} + U_a h_j)``, ``alpha_ij = softmax_j(e_ij)``, ``c_i = sum_j alpha_ij h_j``;
``query`` is ``W_a s_{i-1}`` and ``keys`` are ``U_a h_j``, both projected by the caller. Keys may differ from query to
query (location features, coverage): they then are [B, Tq, Tx, A].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq_fast.reference.precision import accumulation_dtype


def additive_score(query: Tensor, keys: Tensor, v: Tensor) -> Tensor:
    """query [B, Tq, A], keys [B, Tx, A] or [B, Tq, Tx, A], v [A] -> scores [B, Tq, Tx]."""
    dtype = accumulation_dtype(query.dtype)
    query_and_keys = query.to(dtype).unsqueeze(2) + (keys.unsqueeze(1) if keys.dim() == 3 else keys).to(dtype)
    return (torch.tanh(query_and_keys) @ v.to(dtype)).to(query.dtype)


def feature_score(
    query: Tensor,
    keys: Tensor,
    v: Tensor,
    history: Tensor | None = None,
    filters: Tensor | None = None,
    activation: str = "tanh",
) -> Tensor:
    """``e_ij = v^T activation(q_i + k_j + sum_ct F_ct a_ic,j+t)``: what lies around j in the history a is told.

    Chorowski, Bahdanau, Serdyuk, Cho, Bengio 2015, arXiv 1506.07503, equations 8 and 9; F is the product of the filters
    and of the projection of what they find. query [B, Tq, A], keys [B, Tx, A], v [A], history [B, Tq, C, Tx], filters
    [A, C, W] with W odd -> [B, Tq, Tx].
    """
    dtype = accumulation_dtype(query.dtype)
    inside = query.to(dtype).unsqueeze(2) + keys.to(dtype).unsqueeze(1)
    if history is not None and filters is not None and inside.numel() > 0:
        rows = F.conv1d(history.to(dtype).flatten(0, 1), filters.to(dtype), padding=filters.shape[2] // 2)
        inside = inside + rows.transpose(1, 2).unflatten(0, history.shape[:2])
    return ((torch.tanh if activation == "tanh" else torch.relu)(inside) @ v.to(dtype)).to(query.dtype)


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax over the last axis of scores [B, Tq, Tx], where ``mask`` [B, Tx] or [B, 1 or Tq, Tx] is True.

    Masked positions get exactly 0, and so does every position of a row with nothing to attend.
    """
    if mask is None:
        return torch.softmax(scores, dim=-1)
    attended = mask.unsqueeze(1) if mask.dim() == 2 else mask
    # A row of -inf alone would be NaN, in its gradient too: such a row is given zeros instead, and masked afterwards.
    hidden = ~attended & attended.any(dim=-1, keepdim=True)
    return torch.softmax(scores.masked_fill(hidden, -torch.inf), dim=-1).masked_fill(~attended, 0.0)


def normalize(scores: Tensor, mask: Tensor | None, normalization: str) -> Tensor:
    """Scores [B, Tq, Tx] to weights; ``mask`` as in :func:`masked_softmax`, with exactly 0 where it is False.

    "softmax"; "sigmoid", ``sigma(e_j) / sum_k sigma(e_k)`` (Chorowski et al. 2015, arXiv 1506.07503, equation 13); or
    "none", the scores themselves.
    """
    if normalization == "softmax":
        return masked_softmax(scores, mask)
    if normalization == "sigmoid":
        return masked_softmax(F.logsigmoid(scores), mask)  # e^(log sigma) / sum: nothing underflows
    return scores if mask is None else scores.masked_fill(~(mask.unsqueeze(1) if mask.dim() == 2 else mask), 0.0)


def attend(query: Tensor, keys: Tensor, values: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """query [B, Tq, A], keys [B, Tx, A], values [B, Tx, D], mask [B, Tx] -> context [B, Tq, D], weights [B, Tq, Tx].

    Keys and values of masked positions must be finite (:func:`seq2seq_fast.attention_memory` zeroes them).
    """
    dtype = accumulation_dtype(query.dtype)
    scores = additive_score(query.to(dtype), keys.to(dtype), v.to(dtype))
    weights = masked_softmax(scores, mask)
    context = torch.bmm(weights, values.to(dtype))
    return context.to(values.dtype), weights.to(query.dtype)
