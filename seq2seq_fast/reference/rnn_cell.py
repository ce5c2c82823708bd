"""The plain recurrent unit (Elman 1990): ``h' = tanh(W x + b + U h + b')``."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq_fast.reference.precision import widen


def rnn_cell(
    input: Tensor,
    hidden: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
) -> Tensor:
    """input [B, E], hidden [B, H], weight_ih [H, E], weight_hh [H, H], biases [H] -> new hidden [B, H]."""
    dtype = hidden.dtype
    input, hidden, weight_ih, weight_hh, bias_ih, bias_hh = widen(input, hidden, weight_ih, weight_hh, bias_ih, bias_hh)
    return torch.tanh(F.linear(input, weight_ih, bias_ih) + F.linear(hidden, weight_hh, bias_hh)).to(dtype)
