"""The raw operator of one decoding position: K beams a source, no gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from seq2seq_fast.raw.decoder import DecoderCall
from seq2seq_fast.raw.tensors import contiguous
from seq2seq_fast.triton_kernels.attention_decoder import arrange_weights, masked
from seq2seq_fast.triton_kernels.combine import combine_tiles
from seq2seq_fast.triton_kernels.decoder_cells import Gates, Recurrence, cell_step, reset_step, update_step
from seq2seq_fast.triton_kernels.one_query import attend_tiles, plan_tiles
from seq2seq_fast.triton_kernels.products import product


def attention_decoder_step(
    input: Tensor,
    state: Tensor,
    cell_state: Tensor | None,
    keys: Tensor,
    values: Tensor,
    exponentials: Tensor,
    in_range: Tensor,
    projected_values: Tensor | None,
    query_weight: Tensor,
    query_bias: Tensor | None,
    v: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None,
    bias_hh: Tensor | None,
    lengths: Tensor | None,
    mask: Tensor | None,
    state_mask: Tensor | None,
    cell: str,
    reset_after: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Beams are rows of every product and queries on one memory: keys and values are never repeated for them.

    The arguments stand one by one, as in the schema: torch makes the operator's schema from this very signature.
    """
    call, _ = DecoderCall.of_step(
        input, state, cell_state, keys, values, exponentials, in_range, projected_values, query_weight, query_bias, v,
        weight_ih, weight_hh, bias_ih, bias_hh, lengths, mask, state_mask, cell, reset_after,
    )  # fmt: skip
    source, weights_of = call.source, arrange_weights(call)
    batch, beams, hidden = state.shape
    rows, dtype = batch * beams, input.dtype
    (projected_values,) = contiguous(projected_values)
    gates, size = weights_of.of_context.shape
    positions = source.values.shape[1]

    def buffer(*shape: int) -> Tensor:
        return input.new_empty(shape, dtype=torch.float32)

    context = source.values.new_empty(batch, beams, size)
    weights = buffer(batch, beams, positions)
    new_state = state.new_empty(batch, beams, hidden)
    new_cell = state.new_empty(0)

    carried = masked(state, state_mask).view(rows, hidden)
    operand = carried.to(dtype)
    from_state = product(operand, weights_of.of_state.T)
    from_input = product(input.flatten(0, 1), weights_of.of_input.T)
    from_context = None if projected_values is None else buffer(rows, gates)
    plan = plan_tiles(rows, source, projected_values)
    attend_tiles(
        product(operand, weights_of.of_query.T), beams, source, plan, context, weights, None,
        query_bias=weights_of.query_bias, projected=projected_values, projected_context=from_context,
    )()  # fmt: skip
    tiles = plan[1]
    if tiles is not None:
        combine_tiles(tiles, context, weights, None, positions)()
    if from_context is None:
        from_context, tiles = product(context.view(rows, size), weights_of.of_context.T), None

    gates_of = Gates(from_input, from_state, from_context, tiles, weights_of.bias_ih, weights_of.bias_hh)
    recurrence = Recurrence(carried, None, None, None)
    if weights_of.of_reset is not None:
        reset_state, activations = operand.new_empty(rows, hidden), buffer(rows, 3 * hidden)
        reset_step(gates_of, recurrence, reset_state, activations)()
        candidate = product(reset_state, weights_of.of_reset.T)
        update_step(candidate, weights_of.bias_hh, recurrence, new_state.view(rows, hidden), activations)()
    else:
        if cell_state is not None:
            cell_state = cell_state.reshape(rows, hidden)
            new_cell = cell_state.new_empty(batch, beams, hidden)
        cell_step(
            gates_of, recurrence, new_state.view(rows, hidden), cell=cell, cell_state=cell_state,
            new_cell=None if cell_state is None else new_cell.view(rows, hidden),
        )()  # fmt: skip
    return new_state, new_cell, context, weights
