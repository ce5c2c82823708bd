"""What eager PyTorch computes: attention, scores and the arithmetic of the cells, of the products' outputs."""

from __future__ import annotations

import torch
from torch import Tensor


def attention(query: Tensor, keys: Tensor, values: Tensor, v: Tensor) -> list[Tensor]:
    """Attention as it is written in eager PyTorch: add, tanh, product with v, softmax, weighted sum."""
    scores = torch.tanh(query.unsqueeze(2) + keys.unsqueeze(1)) @ v
    weights = torch.softmax(scores, -1)
    return [torch.bmm(weights, values), weights]


def scores(query: Tensor, keys: Tensor, v: Tensor) -> list[Tensor]:
    return [torch.tanh(query.unsqueeze(2) + keys.unsqueeze(1)) @ v]


def gru(from_input: Tensor, from_state: Tensor, state: Tensor) -> list[Tensor]:
    r_x, z_x, n_x = from_input.chunk(3, 1)
    r_h, z_h, n_h = from_state.chunk(3, 1)
    z = torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + torch.sigmoid(r_x + r_h) * n_h)
    return [n + z * (state - n)]


def reset(from_input: Tensor, from_state: Tensor, state: Tensor) -> list[Tensor]:
    """A GRU with the reset before its product, up to that product."""
    r, z = torch.sigmoid(from_input + from_state).chunk(2, 1)
    return [r * state, z]


def update(from_input: Tensor, from_reset_state: Tensor, z: Tensor, state: Tensor) -> list[Tensor]:
    """And from there."""
    n = torch.tanh(from_input + from_reset_state)
    return [n + z * (state - n)]


def lstm(from_input: Tensor, from_state: Tensor, cell: Tensor) -> list[Tensor]:
    i, f, g, o = (from_input + from_state).chunk(4, 1)
    kept = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return [torch.sigmoid(o) * torch.tanh(kept), kept]
