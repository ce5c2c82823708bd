"""The decoder's recurrence (Bahdanau, Cho, Bengio 2014, arXiv 1409.0473, section A.1.2).

Position i attends with the previous state: ``c_i = attend(W_a s_{i-1} + b_a)`` and
``s_i = cell([y_{i-1}, c_i], s_{i-1})``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq_fast.reference.additive_attention import attend
from seq2seq_fast.reference.gru_cell import gru_cell
from seq2seq_fast.reference.lstm_cell import lstm_cell
from seq2seq_fast.reference.precision import widen
from seq2seq_fast.reference.rnn_cell import rnn_cell


def attention_decoder_step(
    input: Tensor,
    state: Tensor,
    cell_state: Tensor | None,
    keys: Tensor,
    values: Tensor,
    query_weight: Tensor,
    query_bias: Tensor | None,
    v: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None,
    bias_hh: Tensor | None,
    *,
    mask: Tensor | None,
    state_mask: Tensor | None,
    cell: str,
    reset_after: bool,
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """One position of K beams a source: input [B, K, E], state and cell_state [B, K, H], mask [B, Tx].

    Returns state [B, K, H], cell_state [B, K, H] (None unless LSTM), context [B, K, D], weights [B, K, Tx].
    """
    state_dtype, cell_dtype = state.dtype, None if cell_state is None else cell_state.dtype
    dtypes = values.dtype, input.dtype
    input, state, cell_state, keys, values, state_mask = widen(input, state, cell_state, keys, values, state_mask)
    query_weight, query_bias, v = widen(query_weight, query_bias, v)
    if state_mask is not None:
        state = state * state_mask
    context, weights = attend(F.linear(state, query_weight, query_bias), keys, values, v, mask)
    gates_from = torch.cat([input, context], dim=-1)
    parameters = (weight_ih, weight_hh, bias_ih, bias_hh)
    if cell == "lstm":
        assert cell_state is not None
        state, cell_state = lstm_cell(gates_from, (state, cell_state), *parameters)
    elif cell == "gru":
        state = gru_cell(gates_from, state, *parameters, reset_after)
    else:
        state = rnn_cell(gates_from, state, *parameters)
    return (
        state.to(state_dtype),
        None if cell_state is None else cell_state.to(cell_dtype),
        context.to(dtypes[0]),
        weights.to(dtypes[1]),
    )


def attention_decoder(
    inputs: Tensor,
    state: Tensor,
    cell_state: Tensor | None,
    keys: Tensor,
    values: Tensor,
    query_weight: Tensor,
    query_bias: Tensor | None,
    v: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None,
    bias_hh: Tensor | None,
    *,
    mask: Tensor | None,
    state_mask: Tensor | None,
    cell: str,
    reset_after: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """All positions: inputs [B, Ty, E], state and cell_state [B, H], state_mask [B, H].

    Returns states [Ty, B, H], contexts [Ty, B, D], weights [Ty, B, Tx] and the last cell_state [B, H]
    (None unless LSTM).
    """
    dtypes = state.dtype, values.dtype, inputs.dtype, cell_state.dtype if cell_state is not None else None
    inputs, state, cell_state, keys, values, state_mask = widen(inputs, state, cell_state, keys, values, state_mask)
    parameters = widen(query_weight, query_bias, v, weight_ih, weight_hh, bias_ih, bias_hh)
    per_beam = None if state_mask is None else state_mask.unsqueeze(1)
    state = state.unsqueeze(1)
    cell_state = None if cell_state is None else cell_state.unsqueeze(1)
    states, contexts, weights = [], [], []
    for input in inputs.unbind(1):
        state, cell_state, context, attention = attention_decoder_step(
            input.unsqueeze(1),
            state,
            cell_state,
            keys,
            values,
            *parameters,
            mask=mask,
            state_mask=per_beam,
            cell=cell,
            reset_after=reset_after,
        )
        states.append(state.squeeze(1))
        contexts.append(context.squeeze(1))
        weights.append(attention.squeeze(1))
    batch, source = keys.shape[:2]

    def stack(rows: list[Tensor], width: int, dtype: torch.dtype) -> Tensor:
        return (torch.stack(rows) if rows else inputs.new_zeros(0, batch, width)).to(dtype)

    return (
        stack(states, state.shape[-1], dtypes[0]),
        stack(contexts, values.shape[-1], dtypes[1]),
        stack(weights, source, dtypes[2]),
        None if cell_state is None else cell_state.squeeze(1).to(dtypes[3]),
    )
