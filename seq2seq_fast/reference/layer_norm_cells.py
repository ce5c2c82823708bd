"""The recurrent cells with layer normalisation (Ba, Kiros, Hinton 2016, "Layer Normalization", arXiv 1607.06450).

``LN(a) = gain (a - mean(a)) / sqrt(var(a) + 1e-5)``; the cell's biases are the shifts. Each cell's products ``W x`` and
``U h`` are normalised apart, as in the paper's supplement: a GRU's gates r and z together and its candidate alone (eq.
27-31), an LSTM's four gates together and its new cell before the output's tanh (eq. 20-22).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq_fast.reference.gru_cell import gru_gates, gru_reset, gru_update
from seq2seq_fast.reference.precision import widen


def _normalize(products: Tensor, gain: Tensor, bias: Tensor | None) -> Tensor:
    return F.layer_norm(products, products.shape[-1:], gain, bias)


def _normalize_gru(products: Tensor, gain: Tensor, bias: Tensor | None) -> Tensor:
    """[B, 3H]: r and z together, the candidate alone."""
    size = products.shape[-1] // 3
    cut = (2 * size, size)
    biases = (None, None) if bias is None else bias.split(cut)
    parts = zip(products.split(cut, dim=-1), gain.split(cut), biases, strict=True)
    return torch.cat([_normalize(*part) for part in parts], dim=-1)


def layer_norm_rnn_cell(
    input: Tensor,
    hidden: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    gain_ih: Tensor,
    gain_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
) -> Tensor:
    """``h' = tanh(LN(W x) + b + LN(U h) + b')``: input [B, E], hidden, gains and biases [B, H], [H] -> [B, H]."""
    dtype = hidden.dtype
    input, hidden, weight_ih, weight_hh, gain_ih, gain_hh, bias_ih, bias_hh = widen(
        input, hidden, weight_ih, weight_hh, gain_ih, gain_hh, bias_ih, bias_hh
    )
    from_input = _normalize(F.linear(input, weight_ih), gain_ih, bias_ih)
    return torch.tanh(from_input + _normalize(F.linear(hidden, weight_hh), gain_hh, bias_hh)).to(dtype)


def layer_norm_gru_cell(
    input: Tensor,
    hidden: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    gain_ih: Tensor,
    gain_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
    reset_after: bool = True,
) -> Tensor:
    """input [B, E], hidden [B, H], weights [3H, E] and [3H, H], gains and biases [3H] -> new hidden [B, H]."""
    dtype = hidden.dtype
    input, hidden, weight_ih, weight_hh, gain_ih, gain_hh, bias_ih, bias_hh = widen(
        input, hidden, weight_ih, weight_hh, gain_ih, gain_hh, bias_ih, bias_hh
    )
    gates_input = _normalize_gru(F.linear(input, weight_ih), gain_ih, bias_ih)
    if reset_after:
        return gru_gates(gates_input, _normalize_gru(F.linear(hidden, weight_hh), gain_hh, bias_hh), hidden).to(dtype)
    size = hidden.shape[-1]
    cut = (2 * size, size)
    bias_rz, bias_n = (None, None) if bias_hh is None else bias_hh.split(cut)
    (weight_rz, weight_n), (gain_rz, gain_n) = weight_hh.split(cut), gain_hh.split(cut)
    input_rz, input_n = gates_input.split(cut, dim=-1)
    gates_hidden = _normalize(F.linear(hidden, weight_rz), gain_rz, bias_rz)
    reset_hidden, z = gru_reset(input_rz, gates_hidden, hidden).chunk(2, dim=-1)
    return gru_update(input_n, _normalize(F.linear(reset_hidden, weight_n), gain_n, bias_n), z, hidden).to(dtype)


def layer_norm_lstm_cell(
    input: Tensor,
    state: tuple[Tensor, Tensor],
    weight_ih: Tensor,
    weight_hh: Tensor,
    gain_ih: Tensor,
    gain_hh: Tensor,
    gain_cell: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
    bias_cell: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """input [B, E], state (hidden, cell) [B, H], weights, gains and biases of 4H, the cell's of H -> new state."""
    hidden, cell = state
    dtypes = hidden.dtype, cell.dtype
    input, hidden, cell, weight_ih, weight_hh = widen(input, hidden, cell, weight_ih, weight_hh)
    gain_ih, gain_hh, gain_cell, bias_ih, bias_hh, bias_cell = widen(
        gain_ih, gain_hh, gain_cell, bias_ih, bias_hh, bias_cell
    )
    from_input = _normalize(F.linear(input, weight_ih), gain_ih, bias_ih)
    i, f, g, o = (from_input + _normalize(F.linear(hidden, weight_hh), gain_hh, bias_hh)).chunk(4, dim=-1)
    new_cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    new_hidden = torch.sigmoid(o) * torch.tanh(_normalize(new_cell, gain_cell, bias_cell))
    return new_hidden.to(dtypes[0]), new_cell.to(dtypes[1])
