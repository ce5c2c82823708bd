"""Attention layers by name."""

from __future__ import annotations

from typing import Any

import torch

from seq2seq_fast.nn.additive_attention import AdditiveAttention
from seq2seq_fast.nn.attention import Attention, DotProductAttention, MultiplicativeAttention
from seq2seq_fast.nn.location_attention import HistoryAttention
from seq2seq_fast.ops.checks import check_choice

ATTENTIONS = ("additive", "multiplicative", "dot")


def make_attention(
    kind: str | None,
    query_size: int,
    value_size: int,
    attention_size: int | None = None,
    *,
    history: str | None = None,
    filters: int = 10,
    width: int = 15,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Attention | None:
    """The attention layer named "additive", "multiplicative" or "dot"; None for None.

    Args:
        query_size, value_size: Q and D; the values are the keys.
        attention_size: A of additive attention; Q by default.
        history: what additive attention knows of the weights before, with ``filters`` of ``width``; see
            `HistoryAttention`.
    """
    if history is not None and kind != "additive":
        raise ValueError(f'attention_history needs attention="additive"; got attention={kind!r}')
    if kind is None:
        return None
    check_choice("attention", kind, ATTENTIONS)
    like: dict[str, Any] = {"device": device, "dtype": dtype}
    if kind == "additive":
        size = query_size if attention_size is None else attention_size
        if history is not None:
            return HistoryAttention(query_size, value_size, size, history, filters=filters, width=width, **like)
        return AdditiveAttention(query_size, value_size, size, **like)
    if kind == "multiplicative":
        return MultiplicativeAttention(query_size, value_size, **like)
    if query_size != value_size:
        raise ValueError(
            "attention=\"dot\" needs the decoder's hidden size to be the encoder's output size; "
            f"got {query_size} and {value_size}"
        )
    return DotProductAttention(**like)
