"""A recurrent cell over the sequences of a batch, position by position."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq_fast.reference.gru_cell import gru_from_input_gates
from seq2seq_fast.reference.lstm_cell import lstm_gates
from seq2seq_fast.reference.precision import widen


def recurrent_sequence(
    inputs: Tensor,
    state: Tensor,
    cell_state: Tensor | None,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None,
    bias_hh: Tensor | None,
    *,
    lengths: Tensor | None,
    state_mask: Tensor | None,
    reverse: bool,
    cell: str,
    reset_after: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """inputs [B, T, E], state and cell_state [B, H] -> states [B, T, H], zero in padding, and the final states."""
    dtypes = state.dtype, None if cell_state is None else cell_state.dtype
    positions = inputs.shape[1]
    if lengths is None:
        lengths = torch.full((inputs.shape[0],), positions, device=inputs.device)
    inputs, state, cell_state, weight_ih, weight_hh, bias_ih, bias_hh, state_mask = widen(
        inputs, state, cell_state, weight_ih, weight_hh, bias_ih, bias_hh, state_mask
    )
    inputs = inputs.masked_fill((torch.arange(positions, device=inputs.device) >= lengths.unsqueeze(1)).unsqueeze(2), 0)
    gates_input = F.linear(inputs, weight_ih, bias_ih)
    states = [state.new_zeros(state.shape)] * positions
    for position in reversed(range(positions)) if reverse else range(positions):
        inside = (position < lengths).unsqueeze(1)
        hidden = state if state_mask is None else state * state_mask
        gates = gates_input[:, position]
        if cell == "lstm":
            new_state, new_cell = lstm_gates(gates, F.linear(hidden, weight_hh, bias_hh), cell_state)
            cell_state = torch.where(inside, new_cell, cell_state)
        elif cell == "gru":
            new_state = gru_from_input_gates(gates, hidden, weight_hh, bias_hh, reset_after)
        else:
            new_state = torch.tanh(gates + F.linear(hidden, weight_hh, bias_hh))
        state = torch.where(inside, new_state, state)
        states[position] = new_state.masked_fill(~inside, 0)
    stacked = torch.stack(states, dim=1) if states else gates_input[:, :, : state.shape[1]]
    return stacked.to(dtypes[0]), state.to(dtypes[0]), None if cell_state is None else cell_state.to(dtypes[1])
