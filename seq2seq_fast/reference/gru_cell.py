"""The gated recurrent unit in both published forms.

Gates are stacked r, z, n as in PyTorch. ``reset_after=True`` is the form of PyTorch and cuDNN, ``n = tanh(W x + b +
r * (U h + b'))``; ``reset_after=False`` is the paper's (arXiv 1409.0473, A.1.1, and Cho et al. 2014, arXiv 1406.1078),
``n = tanh(W x + b + U (r * h) + b')``. The paper's update gate is PyTorch's ``1 - z``: here ``h' = (1 - z) n + z h``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq_fast.reference.precision import widen


def gru_gates(gates_input: Tensor, gates_hidden: Tensor, hidden: Tensor) -> Tensor:
    """Gate arithmetic with reset after the product: [B, 3H], [B, 3H], [B, H] -> new hidden [B, H]."""
    input_r, input_z, input_n = gates_input.chunk(3, dim=-1)
    hidden_r, hidden_z, hidden_n = gates_hidden.chunk(3, dim=-1)
    r = torch.sigmoid(input_r + hidden_r)
    z = torch.sigmoid(input_z + hidden_z)
    n = torch.tanh(input_n + r * hidden_n)
    return n + z * (hidden - n)


def gru_reset(gates_input: Tensor, gates_hidden: Tensor, hidden: Tensor) -> Tensor:
    """First half with reset before the product: [B, 2H], [B, 2H], [B, H] -> r * h and z, [B, H] each."""
    r, z = torch.sigmoid(gates_input + gates_hidden).chunk(2, dim=-1)
    return torch.cat([r * hidden, z], dim=-1)


def gru_update(candidate_input: Tensor, candidate_hidden: Tensor, z: Tensor, hidden: Tensor) -> Tensor:
    """Second half with reset before the product: all [B, H] -> new hidden [B, H]."""
    n = torch.tanh(candidate_input + candidate_hidden)
    return n + z * (hidden - n)


def gru_cell(
    input: Tensor,
    hidden: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
    reset_after: bool = True,
) -> Tensor:
    """input [B, E], hidden [B, H], weight_ih [3H, E], weight_hh [3H, H], biases [3H] -> new hidden [B, H]."""
    dtype = hidden.dtype
    input, hidden, weight_ih, weight_hh, bias_ih, bias_hh = widen(input, hidden, weight_ih, weight_hh, bias_ih, bias_hh)
    gates_input = F.linear(input, weight_ih, bias_ih)
    return gru_from_input_gates(gates_input, hidden, weight_hh, bias_hh, reset_after).to(dtype)


def gru_from_input_gates(
    gates_input: Tensor, hidden: Tensor, weight_hh: Tensor, bias_hh: Tensor | None, reset_after: bool
) -> Tensor:
    """The cell when the input's product [B, 3H] is already there."""
    if reset_after:
        return gru_gates(gates_input, F.linear(hidden, weight_hh, bias_hh), hidden)
    size = hidden.shape[-1]
    bias_rz, bias_n = (None, None) if bias_hh is None else (bias_hh[: 2 * size], bias_hh[2 * size :])
    gates_hidden = F.linear(hidden, weight_hh[: 2 * size], bias_rz)
    reset_hidden, z = gru_reset(gates_input[..., : 2 * size], gates_hidden, hidden).chunk(2, dim=-1)
    candidate_hidden = F.linear(reset_hidden, weight_hh[2 * size :], bias_n)
    return gru_update(gates_input[..., 2 * size :], candidate_hidden, z, hidden)
