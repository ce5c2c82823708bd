"""What eager PyTorch computes, as the operators' cases have it, and the two halves of a GRU around its reset."""

from __future__ import annotations

import torch
from torch import Tensor

from seq2seq_fast.cases.attention import eager_attend, eager_score
from seq2seq_fast.cases.gru_cell import eager_gru_gates
from seq2seq_fast.cases.lstm_cell import eager_lstm_gates


def attention(*tensors: Tensor) -> list[Tensor]:
    return list(eager_attend(*tensors))


def scores(*tensors: Tensor) -> list[Tensor]:
    return [eager_score(*tensors)]


def gru(*tensors: Tensor) -> list[Tensor]:
    return [eager_gru_gates(*tensors)]


def reset(from_input: Tensor, from_state: Tensor, state: Tensor) -> list[Tensor]:
    """A GRU with the reset before its product, up to that product."""
    r, z = torch.sigmoid(from_input + from_state).chunk(2, 1)
    return [r * state, z]


def update(from_input: Tensor, from_reset_state: Tensor, z: Tensor, state: Tensor) -> list[Tensor]:
    """And from there."""
    n = torch.tanh(from_input + from_reset_state)
    return [n + z * (state - n)]


def lstm(*tensors: Tensor) -> list[Tensor]:
    return list(eager_lstm_gates(*tensors))
