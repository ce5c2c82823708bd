"""The raw operators of the decoder's recurrence, forward.

Of a step only what the next one needs is in the loop: one product of the state with the stacked weights of gates and
query, the attention kernel, and the cell. The context enters the gates linearly, ``W c = sum_j alpha_j (W h_j)``: where
that costs less than a product in every step, the values are projected once and the attention kernel weighs them so.
Of a source of several tiles the cell's kernel combines what they leave, projected values or the products of their
contexts. Inputs' products, and contexts and weights of all positions where the loop has no use for them, are made
outside of it. Nothing is read on the host, and all memory comes from torch's allocator.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from seq2seq_fast.raw.decoder import DecoderCall
from seq2seq_fast.raw.tensors import contiguous
from seq2seq_fast.triton_kernels import launch
from seq2seq_fast.triton_kernels.combine import Tiles, combine_tiles
from seq2seq_fast.triton_kernels.decoder_cells import Gates, Recurrence, cell_step, reset_step, update_step
from seq2seq_fast.triton_kernels.kernel import Each
from seq2seq_fast.triton_kernels.one_query import attend_tiles, plan_tiles
from seq2seq_fast.triton_kernels.products import product

GATES = {"rnn": 1, "gru": 3, "lstm": 4}


class Weights(NamedTuple):
    """A decoder's weights as its steps use them: views, in the dtype of the inputs.

    Attributes:
        of_input: [G H, E]. of_context: [G H, D]. of_query: [A, H].
        of_state: [G H, H], or with the reset before the product the [2H, H] that multiply the state itself.
        of_reset: [H, H], the candidate's rows, which multiply the reset state; None where the reset is after.
    """

    of_input: Tensor
    of_context: Tensor
    of_query: Tensor
    of_state: Tensor
    of_reset: Tensor | None
    query_bias: Tensor | None
    bias_ih: Tensor | None
    bias_hh: Tensor | None


def arrange_weights(call: DecoderCall) -> Weights:
    given = call.weights
    rows = call.direct_rows
    return Weights(
        call.input_weight, call.context_weight, given.query_weight, given.weight_hh[:rows],
        given.weight_hh[rows:] if call.reset_before else None,
        *contiguous(given.query_bias, given.bias_ih, given.bias_hh),
    )  # fmt: skip


def masked(state: Tensor, state_mask: Tensor | None) -> Tensor:
    """The state that a step reads, in float32; always a copy."""
    wide = state.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    return wide if state_mask is None else wide.mul_(state_mask)


def tiles_to_multiply(tiles: Tiles | None, gates: int, dtype: torch.dtype) -> Tensor | None:
    """Room for the products of tiles' contexts, [rows, tiles, G H], where a step makes those instead of one context's.

    Contexts of tiles are not normalised: of float16 values they may be out of range, and are combined first.
    """
    if tiles is None or dtype == torch.float16:
        return None
    rows, count = tiles.maxima.shape
    return tiles.maxima.new_empty(rows, count, gates) if launch.multiply_tiles(rows, count, gates) else None


def attention_decoder_forward(*arguments: Any) -> tuple[Tensor, ...]:
    """All positions; see :mod:`seq2seq_fast.ops.schemas` for arguments, shapes and results."""
    call = DecoderCall.of(*arguments)
    inputs, state, cell_state, source, _, state_mask, cell, _ = call
    batch, target, features = inputs.shape
    hidden, dtype, reset_before = call.hidden, inputs.dtype, call.reset_before
    weights_of = arrange_weights(call)
    cell_state, state_mask = contiguous(cell_state, state_mask)
    gates, size = weights_of.of_context.shape
    positions = source.values.shape[1]
    stacked = torch.cat([weights_of.of_state, weights_of.of_query])
    query_columns = slice(weights_of.of_state.shape[0], None)

    def buffer(*shape: int) -> Tensor:
        return inputs.new_empty(shape, dtype=torch.float32)

    states = state.new_empty(target, batch, hidden)
    weights, logsumexp = buffer(target, batch, positions), buffer(target, batch)
    activations = buffer(target, batch, call.activations)
    # The cells that the steps start from, and the last one.
    cells = buffer(0)
    if cell_state is not None:
        cells = buffer(target + 1, batch, hidden)
        cells[0] = cell_state
    recurrent = buffer(target, batch, stacked.shape[0])
    contexts = buffer(0)

    projected = launch.project_values(batch, positions, size, gates, source.values.element_size())
    attended = source
    if projected:
        attended = source._replace(values=torch.matmul(source.values, weights_of.of_context.T))
    parameters, tiles = plan_tiles(batch, attended)
    of_tiles = None if projected else tiles_to_multiply(tiles, gates, dtype)
    if of_tiles is not None and tiles is not None:
        # The product's operand: as the context itself, it is rounded to the inputs' dtype.
        tiles = tiles._replace(context=torch.empty_like(tiles.context, dtype=dtype))
    combined_late = projected or of_tiles is not None
    if not combined_late:
        contexts = source.values.new_empty(target, batch, size)
    from_context = buffer(batch, gates)
    from_input = product(inputs.reshape(batch * target, features), weights_of.of_input.T).view(batch, target, gates)

    carried = masked(state, state_mask)
    operand = carried if dtype == torch.float32 else carried.to(dtype)
    recurrence = Recurrence(carried, carried, None if operand is carried else operand, state_mask)
    reset_state = operand.new_empty(batch, hidden) if reset_before else None
    attend = attend_tiles(
        Each(recurrent[:, :, query_columns]), 1, attended, (parameters, tiles),
        from_context if combined_late else Each(contexts), Each(weights), None, query_bias=weights_of.query_bias,
    )  # fmt: skip
    combine = None
    if tiles is not None and not combined_late:
        combine = combine_tiles(tiles, Each(contexts), Each(weights), None, positions)
    to_combine = tiles if of_tiles is None or tiles is None else tiles._replace(projected_context=of_tiles)
    step = Gates(
        Each(from_input.transpose(0, 1)), Each(recurrent), from_context, to_combine if combined_late else None,
        weights_of.bias_ih, weights_of.bias_hh,
    )  # fmt: skip
    normalise = Each(logsumexp) if step.tiles is not None else None
    if reset_state is not None:
        candidate = buffer(batch, hidden)
        reset = reset_step(step, recurrence, reset_state, Each(activations), normalise)
        update = update_step(candidate, weights_of.bias_hh, recurrence, Each(states), Each(activations))
    else:
        new_state = cell_step(
            step, recurrence, Each(states), cell=cell, logsumexp=normalise, activations=Each(activations),
            cell_state=Each(cells) if cell == "lstm" else None,
            new_cell=Each(cells[1:]) if cell == "lstm" else None,
        )  # fmt: skip
    of_state, of_context = stacked.T, weights_of.of_context.T
    from_state = recurrent.unbind(0)
    for i in range(target):
        product(operand, of_state, out=from_state[i])
        attend(i)
        if of_tiles is not None and tiles is not None:
            product(tiles.context.flatten(0, 1), of_context, out=of_tiles.flatten(0, 1))
        elif not projected:
            if combine is not None:
                combine(i)
            product(contexts[i], of_context, out=from_context)
        if weights_of.of_reset is not None:
            reset(i)
            product(reset_state, weights_of.of_reset.T, out=candidate)
            update(i)
        else:
            new_state(i)

    if combined_late and tiles is not None:
        # Raw scores; a row with nothing to attend has -inf everywhere, its sum's logarithm included.
        shift = logsumexp.masked_fill(logsumexp == -torch.inf, 0.0)
        weights.sub_(shift.unsqueeze(2)).exp_()
    if combined_late:
        by_source = weights.transpose(0, 1).to(source.values.dtype)
        contexts = torch.bmm(by_source, source.values).transpose(0, 1).contiguous()
    queries = recurrent[:, :, query_columns].contiguous()
    if weights_of.query_bias is not None:
        queries += weights_of.query_bias
    final_cell = state.new_empty(0)
    if cell_state is not None:
        final_cell, cells = cells[-1].to(cell_state.dtype, copy=True), cells[1:].clone()
    return states, contexts, weights, final_cell, cells, activations, queries
