"""One position of the decoder's recurrence, for greedy and beam search."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq_fast import reference
from seq2seq_fast.ops.additive_attention import attend_prepared, fused_source
from seq2seq_fast.ops.attention_decoder import DIFFERENTIABLE, State, check_decoder, split_state
from seq2seq_fast.ops.attention_memory import AttentionMemory, attended_positions
from seq2seq_fast.ops.autograd import cast_like, needs_grad, no_autocast
from seq2seq_fast.ops.backends import choose_backend, raw
from seq2seq_fast.ops.checks import check_tensor
from seq2seq_fast.ops.derivatives import declare_derivative
from seq2seq_fast.ops.gru_cell import gru_cell
from seq2seq_fast.ops.lstm_cell import lstm_cell
from seq2seq_fast.ops.positions import positions_of
from seq2seq_fast.ops.record import register_record


@register_record
class AttentionDecoderStep(NamedTuple):
    """What :func:`attention_decoder_step` returns, with the leading axes of its input.

    Attributes:
        state: [B, H] or [B, K, H] (LSTM: the pair (hidden, cell)).
        context: [B, D] or [B, K, D].
        weights: [B, Tx] or [B, K, Tx], None without ``need_weights``.
    """

    state: State
    context: Tensor
    weights: Tensor | None


def attention_decoder_step(
    input: Tensor,
    state: State,
    memory: AttentionMemory,
    query_weight: Tensor,
    v: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
    *,
    query_bias: Tensor | None = None,
    state_mask: Tensor | None = None,
    cell: str = "gru",
    reset_after: bool = True,
    need_weights: bool = True,
    backend: str | None = None,
) -> AttentionDecoderStep:
    """One position of :func:`seq2seq_fast.attention_decoder`, on a memory made once for the source.

    Beams are queries on one memory: with ``input`` [B, K, E] and ``state`` [B, K, H] each source is attended by its K
    beams, and its keys and values are never repeated. A memory made with ``context_weight`` (the context's columns of
    ``weight_ih``) saves the context's matrix product in every step.

    Args:
        input: [B, E] or [B, K, E].
        state: [B, H] or [B, K, H]; for an LSTM the pair (hidden, cell).
        memory: from :func:`seq2seq_fast.attention_memory`.
        state_mask: shaped as ``state``.
        others: as in :func:`seq2seq_fast.attention_decoder`.

    Raises:
        TypeError, ValueError: an argument's type, dtype, device or shape is wrong, or the backend cannot serve it.
    """
    if not isinstance(memory, AttentionMemory):
        raise TypeError(f"memory must be an AttentionMemory, made by attention_memory(); got {type(memory).__name__}")
    beams = isinstance(input, Tensor) and input.dim() == 3
    check_tensor("input", input, "[B, K, E]" if beams else "[B, E]", memory.batch, *(None,) * (1 + beams))
    hidden, cell_state = split_state(state, cell)
    parameters = check_decoder(
        cell, input, tuple(input.shape[:-1]), hidden, cell_state, (query_weight, query_bias, v),
        (weight_ih, weight_hh, bias_ih, bias_hh), state_mask, memory,
    )  # fmt: skip
    (input,) = cast_like(memory.keys, input)
    if not beams:
        input, hidden = input.unsqueeze(1), hidden.unsqueeze(1)
        cell_state = None if cell_state is None else cell_state.unsqueeze(1)
        state_mask = None if state_mask is None else state_mask.unsqueeze(1)
    chosen = choose_backend(backend, input)
    with no_autocast(input.device.type):
        hidden, cell_state, context, weights = _step(
            chosen, input, hidden, cell_state, memory, parameters, state_mask, cell, reset_after
        )
    if not beams:
        hidden, context, weights = hidden.squeeze(1), context.squeeze(1), weights.squeeze(1)
        cell_state = None if cell_state is None else cell_state.squeeze(1)
    return AttentionDecoderStep(
        (hidden, cell_state) if cell == "lstm" else hidden,
        context,
        weights.to(input.dtype) if need_weights else None,
    )


def _step(backend, input, hidden, cell_state, memory, parameters, state_mask, cell, reset_after):
    if backend == "reference":
        return reference.attention_decoder_step(
            input, hidden, cell_state, memory.keys, memory.values, *parameters, mask=memory.attended,
            state_mask=state_mask, cell=cell, reset_after=reset_after,
        )  # fmt: skip
    if not needs_grad(input, hidden, cell_state, memory.keys, memory.values, *parameters):
        exponentials, in_range = fused_source(memory, backend)
        hidden, new_cell, context, weights = raw(backend).attention_decoder_step(
            input, hidden, cell_state, memory.keys, memory.values, exponentials, in_range, memory.projected_values,
            *parameters, memory.lengths, memory.mask, state_mask, cell, reset_after,
        )  # fmt: skip
        return hidden, new_cell if cell == "lstm" else None, context, weights
    return _differentiable_step(backend, input, hidden, cell_state, memory, parameters, state_mask, cell, reset_after)


def _differentiable_step(backend, input, hidden, cell_state, memory, parameters, state_mask, cell, reset_after):
    """The step as its operators, each with its own gradient: for training that decodes (scheduled sampling)."""
    query_weight, query_bias, v, weight_ih, weight_hh, bias_ih, bias_hh = parameters
    if state_mask is not None:
        hidden = hidden * state_mask
    query = F.linear(hidden.to(input.dtype), query_weight, query_bias)
    context, weights = attend_prepared(query, memory, v, positions_of(memory, query.shape[1]), True, backend)
    rows = torch.cat([input, context], dim=-1).flatten(0, 1)
    flat = hidden.flatten(0, 1)
    recurrent = (weight_ih, weight_hh, bias_ih, bias_hh)
    if cell == "lstm":
        flat, flat_cell = lstm_cell(rows, (flat, cell_state.flatten(0, 1)), *recurrent, backend=backend)
        cell_state = flat_cell.unflatten(0, hidden.shape[:2])
    elif cell == "gru":
        flat = gru_cell(rows, flat, *recurrent, reset_after=reset_after, backend=backend)
    else:
        flat = reference.rnn_cell(rows, flat, *recurrent)
    return flat.unflatten(0, hidden.shape[:2]), cell_state, context, weights


def _formula(lengths, mask, exponentials, in_range, projected_values, **named):
    return reference.attention_decoder_step(mask=attended_positions(named["keys"], lengths, mask), **named)


# For programs that were exported without gradients: what records them calls _differentiable_step.
declare_derivative(
    "attention_decoder_step",
    _formula,
    ("new_state", "new_cell", "context", "weights"),
    "input",
    *DIFFERENTIABLE,
)
