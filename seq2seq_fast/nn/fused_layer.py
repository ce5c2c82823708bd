"""The decoder's layer that attends, as arguments of the ``attention_decoder`` operators."""

from __future__ import annotations

from typing import Any

from torch import nn

from seq2seq_fast.nn.additive_attention import AdditiveAttention
from seq2seq_fast.nn.attention import Attention
from seq2seq_fast.nn.cells import GRUCell, LSTMCell, RNNCell
from seq2seq_fast.nn.modules import is_plain


def fused_layer(attention: Attention | None, cell: nn.Module) -> dict[str, Any] | None:
    """The operators' arguments of this attention before this cell; None where one of the modules has to be called."""
    if not is_plain(attention, AdditiveAttention) or not is_plain(cell, RNNCell, GRUCell, LSTMCell):
        return None
    assert isinstance(attention, AdditiveAttention)
    if not attention.plain:
        return None
    query = attention.query_projection
    if not is_plain(query, nn.Linear) or attention.backend != cell.backend:
        return None
    return {
        "query_weight": query.weight, "query_bias": query.bias, "v": attention.v,
        "weight_ih": cell.weight_ih, "weight_hh": cell.weight_hh, "bias_ih": cell.bias_ih, "bias_hh": cell.bias_hh,
        "cell": cell.kind, "reset_after": cell.reset_after, "backend": cell.backend,
    }  # fmt: skip
