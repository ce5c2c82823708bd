"""Long short-term memory (Hochreiter and Schmidhuber 1997; with the forget gate of Gers et al. 2000).

Gates are stacked i, f, g, o as in PyTorch: ``c' = f c + i g``, ``h' = o tanh(c')``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq_fast.reference.precision import widen


def lstm_gates(gates_input: Tensor, gates_hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Gate arithmetic: [B, 4H], [B, 4H], [B, H] -> new hidden and new cell, [B, H] each."""
    i, f, g, o = (gates_input + gates_hidden).chunk(4, dim=-1)
    new_cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(new_cell), new_cell


def lstm_cell(
    input: Tensor,
    state: tuple[Tensor, Tensor],
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """input [B, E], state (hidden, cell) [B, H], weight_ih [4H, E], weight_hh [4H, H] -> new (hidden, cell)."""
    hidden, cell = state
    dtypes = hidden.dtype, cell.dtype
    input, hidden, cell, weight_ih, weight_hh, bias_ih, bias_hh = widen(
        input, hidden, cell, weight_ih, weight_hh, bias_ih, bias_hh
    )
    gates_hidden = F.linear(hidden, weight_hh, bias_hh)
    new_hidden, new_cell = lstm_gates(F.linear(input, weight_ih, bias_ih), gates_hidden, cell)
    return new_hidden.to(dtypes[0]), new_cell.to(dtypes[1])
