"""Recurrent cells by name."""

from __future__ import annotations

from typing import Any

import torch

from seq2seq_fast.nn.cells import GRUCell, LSTMCell, RecurrentCell, RNNCell
from seq2seq_fast.nn.layer_norm_cells import LayerNormGRUCell, LayerNormLSTMCell, LayerNormRNNCell
from seq2seq_fast.ops.checks import check_choice

CELLS = ("rnn", "gru", "lstm")


def make_cell(
    kind: str,
    input_size: int,
    hidden_size: int,
    *,
    reset_after: bool = True,
    layer_norm: bool = False,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> RecurrentCell:
    """The cell named "rnn", "gru" or "lstm", with layer normalisation or without."""
    check_choice("cell", kind, CELLS)
    like: dict[str, Any] = {"device": device, "dtype": dtype}
    if kind == "gru":
        return (LayerNormGRUCell if layer_norm else GRUCell)(input_size, hidden_size, reset_after=reset_after, **like)
    if kind == "rnn":
        return (LayerNormRNNCell if layer_norm else RNNCell)(input_size, hidden_size, **like)
    return (LayerNormLSTMCell if layer_norm else LSTMCell)(input_size, hidden_size, **like)
