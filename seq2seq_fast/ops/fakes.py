"""What the raw operators of :mod:`seq2seq_fast.ops.schemas` return, as shapes, dtypes and strides alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from seq2seq_fast.reference.precision import accumulation_dtype


def _acc(like: Tensor, *shape: int) -> Tensor:
    return like.new_empty(shape, dtype=accumulation_dtype(like.dtype))


def _asked(needs: Sequence[bool], *tensors: Tensor | None) -> tuple[Tensor, ...]:
    """A contiguous gradient for each tensor that is there and needed, an empty one for the others."""
    given = next(t for t in tensors if t is not None)
    return tuple(
        t.new_empty(t.shape) if t is not None and need else given.new_empty(0)
        for t, need in zip(tensors, needs, strict=True)
    )


def _contiguous(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(t.new_empty(t.shape) for t in tensors)


def key_exponentials(keys):
    return _acc(keys, *keys.shape), keys.new_empty(keys.shape[0], dtype=torch.bool)


def additive_score_forward(query, keys, exponentials, in_range, v):
    return query.new_empty(*query.shape[:2], keys.shape[1])


def additive_score_backward(grad_scores, query, keys, exponentials, in_range, v, needs):
    return _asked(needs, query, keys, v)


def feature_score_forward(query, keys, v, history, filters, activation):
    return query.new_empty(*query.shape[:2], keys.shape[1])


def feature_score_backward(grad_scores, query, keys, v, history, filters, activation, needs):
    return _asked(needs, query, keys, v, history, filters)


def attend_forward(query, keys, values, exponentials, in_range, v, lengths, mask, need_weights):
    batch, queries, _ = query.shape
    weights = _acc(query, batch, queries, keys.shape[1]) if need_weights else _acc(query, 0)
    return values.new_empty(batch, queries, values.shape[2]), weights, _acc(query, batch, queries)


def attend_backward(
    grad_context, grad_weights, query, keys, values, exponentials, in_range, v, lengths, mask, context, weights,
    logsumexp, needs,
):  # fmt: skip
    return _asked(needs, query, keys, values, v)


def gru_gates_forward(gates_input, gates_hidden, hidden):
    return hidden.new_empty(hidden.shape), _acc(hidden, *gates_input.shape)


def gru_gates_backward(grad_new_hidden, gates_hidden, hidden, activations):
    return _contiguous(gates_hidden, gates_hidden, hidden)


def gru_reset_forward(gates_input, gates_hidden, hidden):
    return hidden.new_empty(gates_input.shape), _acc(hidden, *gates_input.shape)


def gru_reset_backward(grad_reset_and_z, hidden, activations):
    return _contiguous(grad_reset_and_z, hidden)


def gru_update_forward(candidate_input, candidate_hidden, z, hidden):
    return hidden.new_empty(hidden.shape), _acc(hidden, *hidden.shape)


def gru_update_backward(grad_new_hidden, z, hidden, activations):
    return _contiguous(hidden, z, hidden)


def lstm_gates_forward(gates_input, gates_hidden, cell):
    return gates_input.new_empty(cell.shape), cell.new_empty(cell.shape), _acc(cell, *gates_input.shape)


def lstm_gates_backward(grad_new_hidden, grad_new_cell, cell, new_cell, activations):
    return cell.new_empty(activations.shape), cell.new_empty(cell.shape)


def _saved(cell: str, reset_after: bool) -> int:
    """Activations that backward needs of a position, in units of the hidden size."""
    return {"rnn": 1, "gru": 4 if reset_after else 3, "lstm": 4}[cell]


def attention_decoder_forward(
    inputs, state, cell_state, keys, values, exponentials, in_range, query_weight, query_bias, v, weight_ih, weight_hh,
    bias_ih, bias_hh, lengths, mask, state_mask, cell, reset_after,
):  # fmt: skip
    batch, target, _ = inputs.shape
    hidden, attention = state.shape[1], query_weight.shape[0]
    lstm, saved = cell == "lstm", _saved(cell, reset_after) * hidden
    return (
        state.new_empty(target, batch, hidden),
        values.new_empty(target, batch, values.shape[2]),
        _acc(inputs, target, batch, keys.shape[1]),
        cell_state.new_empty(batch, hidden) if lstm else state.new_empty(0),
        _acc(inputs, target, batch, hidden) if lstm else _acc(inputs, 0),
        _acc(inputs, target, batch, saved),
        _acc(inputs, target, batch, attention),
    )


def attention_decoder_backward(
    grad_states, grad_contexts, grad_weights, grad_final_cell, inputs, state, cell_state, keys, values, exponentials,
    in_range, query_weight, query_bias, v, weight_ih, weight_hh, bias_ih, bias_hh, lengths, mask, state_mask, cell,
    reset_after, states, contexts, weights, cells, activations, queries, needs,
):  # fmt: skip
    return _asked(
        needs, inputs, state, cell_state, keys, values, query_weight, query_bias, v, weight_ih, weight_hh, bias_ih,
        bias_hh,
    )  # fmt: skip


def attention_decoder_step(
    input, state, cell_state, keys, values, exponentials, in_range, projected_values, query_weight, query_bias, v,
    weight_ih, weight_hh, bias_ih, bias_hh, lengths, mask, state_mask, cell, reset_after,
):  # fmt: skip
    batch, beams, hidden = state.shape
    return (
        state.new_empty(batch, beams, hidden),
        cell_state.new_empty(batch, beams, hidden) if cell == "lstm" else state.new_empty(0),
        values.new_empty(batch, beams, values.shape[2]),
        _acc(input, batch, beams, keys.shape[1]),
    )


def recurrent_sequence_forward(
    inputs, state, cell_state, weight_ih, weight_hh, bias_ih, bias_hh, lengths, state_mask, reverse, cell, reset_after
):
    batch, positions, _ = inputs.shape
    hidden, rows, lstm = state.shape[1], batch * positions, cell == "lstm"
    return (
        state.new_empty(batch, positions, hidden),
        state.new_empty(batch, hidden),
        cell_state.new_empty(batch, hidden) if lstm else state.new_empty(0),
        _acc(inputs, rows, hidden),
        _acc(inputs, rows, hidden) if lstm else _acc(inputs, 0),
        _acc(inputs, rows, _saved(cell, reset_after) * hidden),
    )


def recurrent_sequence_backward(
    grad_states, grad_final_state, grad_final_cell, inputs, state, cell_state, weight_ih, weight_hh, bias_ih, bias_hh,
    lengths, state_mask, reverse, cell, reset_after, packed, cells, activations, needs,
):  # fmt: skip
    return _asked(needs, inputs, state, cell_state, weight_ih, weight_hh, bias_ih, bias_hh)


FAKES: dict[str, Callable[..., Tensor | tuple[Tensor, ...]]] = {
    fake.__name__: fake
    for fake in (
        key_exponentials,
        additive_score_forward,
        additive_score_backward,
        feature_score_forward,
        feature_score_backward,
        attend_forward,
        attend_backward,
        gru_gates_forward,
        gru_gates_backward,
        gru_reset_forward,
        gru_reset_backward,
        gru_update_forward,
        gru_update_backward,
        lstm_gates_forward,
        lstm_gates_backward,
        attention_decoder_forward,
        attention_decoder_backward,
        attention_decoder_step,
        recurrent_sequence_forward,
        recurrent_sequence_backward,
    )
}
