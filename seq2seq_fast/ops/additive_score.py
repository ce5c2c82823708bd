"""The scores of additive attention alone, for pointer networks and whoever brings a softmax of their own."""

from __future__ import annotations

import torch
from torch import Tensor

from seq2seq_fast import reference
from seq2seq_fast.ops.additive_attention import prepare_query, prepared_scores
from seq2seq_fast.ops.attention_memory import AttentionMemory
from seq2seq_fast.ops.backends import choose_backend
from seq2seq_fast.ops.derivatives import declare_derivative
from seq2seq_fast.ops.features import check_features, choose_feature_backend
from seq2seq_fast.ops.positions import positions_of
from seq2seq_fast.ops.weighting import check_clip, clipped


def additive_score(
    query: Tensor,
    memory: AttentionMemory,
    v: Tensor,
    *,
    lengths: Tensor | None = None,
    mask: Tensor | None = None,
    history: Tensor | None = None,
    filters: Tensor | None = None,
    activation: str = "tanh",
    clip: float | None = None,
    backend: str | None = None,
) -> Tensor:
    """``scores_ij = v^T tanh(query_i + keys_j)`` (arXiv 1409.0473, section A.1.2).

    Args:
        query: [B, A] or [B, Tq, A].
        memory: from :func:`seq2seq_fast.attention_memory`.
        v: [A].
        lengths, mask: what this call may attend, beyond the memory's own limits; as in :func:`seq2seq_fast.attend`.
        history, filters, activation: what the unit has inside, and which it is; as in :func:`seq2seq_fast.attend`.
        clip: C makes the score ``C tanh(score)`` (Bello et al. 2016, arXiv 1611.09940, equation 16). Masks come after.
        backend: "reference", "cpu", "triton" or "cuda"; by default chosen from the device.

    Returns:
        [B, Tx] or [B, Tq, Tx], ``-inf`` at masked positions, so that a softmax gives them nothing.

    Raises:
        TypeError, ValueError: an argument's type, dtype, device or shape is wrong, or the backend cannot serve it.
    """
    query, v = prepare_query(query, memory, v)
    features = check_features(history, filters, activation, memory, query)
    single = query.dim() == 2
    if single:
        query = query.unsqueeze(1)
    check_clip(clip)
    attended = positions_of(memory, query.shape[1], lengths, mask).attended
    chosen = choose_backend(backend, memory.keys) if features.plain else choose_feature_backend(backend, memory)
    scores = clipped(prepared_scores(query, memory, v, features, chosen), clip)
    if attended is not None:
        scores = scores.masked_fill(~attended, -torch.inf)
    return scores.squeeze(1) if single else scores


def _formula(query, keys, v, **_):
    return (reference.additive_score(query, keys, v),)


declare_derivative("additive_score_forward", _formula, ("scores",), "query", "keys", "v")
