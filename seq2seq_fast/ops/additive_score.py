"""The scores of additive attention alone, for pointer networks and whoever brings a softmax of their own."""

from __future__ import annotations

import torch
from torch import Tensor

from seq2seq_fast import reference
from seq2seq_fast.ops.additive_attention import fused_source, prepare_query
from seq2seq_fast.ops.attention_memory import AttentionMemory
from seq2seq_fast.ops.autograd import no_autocast
from seq2seq_fast.ops.backends import choose_backend, raw
from seq2seq_fast.ops.derivatives import declare_derivative


def additive_score(query: Tensor, memory: AttentionMemory, v: Tensor, *, backend: str | None = None) -> Tensor:
    """``scores_ij = v^T tanh(query_i + keys_j)`` (arXiv 1409.0473, section A.1.2).

    Args:
        query: [B, A] or [B, Tq, A].
        memory: from :func:`seq2seq_fast.attention_memory`.
        v: [A].
        backend: "reference", "cpu", "triton" or "cuda"; by default chosen from the device.

    Returns:
        [B, Tx] or [B, Tq, Tx], ``-inf`` at masked positions, so that a softmax gives them nothing.

    Raises:
        TypeError, ValueError: an argument's type, dtype, device or shape is wrong, or the backend cannot serve it.
    """
    query, v = prepare_query(query, memory, v)
    single = query.dim() == 2
    if single:
        query = query.unsqueeze(1)
    chosen = choose_backend(backend, memory.keys)
    if chosen == "reference":
        with no_autocast(query.device.type):
            scores = reference.additive_score(query, memory.keys, v)
    else:
        scores = raw(chosen).additive_score_forward(query, memory.keys, *fused_source(memory, chosen), v)
    if memory.attended is not None:
        scores = scores.masked_fill(~memory.attended.unsqueeze(1), -torch.inf)
    return scores.squeeze(1) if single else scores


def _formula(query, keys, v, **_):
    return (reference.additive_score(query, keys, v),)


declare_derivative("additive_score_forward", _formula, ("scores",), "query", "keys", "v")
