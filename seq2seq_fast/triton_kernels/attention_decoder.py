"""The raw operators of the decoder's recurrence, forward.

Of a step only what the next one needs is in the loop: one product of the state with the stacked weights of gates and
query, the attention kernel, and the cell. The context enters the gates linearly, ``W c = sum_j alpha_j (W h_j)``: where
that costs less than a product in every step, the values are projected once and the attention kernel weighs them so.
Of a source of several tiles the cell's kernel combines what they leave, projected values or the products of their
contexts. Inputs' products, and contexts and weights of all positions where the loop has no use for them, are made
outside of it. Nothing is read on the host, and all memory comes from torch's allocator.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq_fast.triton_kernels import launch
from seq2seq_fast.triton_kernels.additive_attention import contiguous
from seq2seq_fast.triton_kernels.combine import Tiles, combine_tiles
from seq2seq_fast.triton_kernels.decoder_cells import Gates, Recurrence, cell_step, reset_step, update_step
from seq2seq_fast.triton_kernels.one_query import Source, attend_tiles, plan_tiles
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


def arrange_weights(
    features: int,
    query_weight: Tensor,
    query_bias: Tensor | None,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None,
    bias_hh: Tensor | None,
    reset_before: bool,
) -> Weights:
    rows = 2 * weight_hh.shape[1] if reset_before else weight_hh.shape[0]
    return Weights(
        weight_ih[:, :features], weight_ih[:, features:], query_weight, weight_hh[:rows],
        weight_hh[rows:] if reset_before else None, *contiguous(query_bias, bias_ih, bias_hh),
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


def attention_decoder_forward(
    inputs: Tensor,
    state: Tensor,
    cell_state: Tensor | None,
    keys: Tensor,
    values: Tensor,
    exponentials: Tensor,
    in_range: Tensor,
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
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """All positions; see :mod:`seq2seq_fast.ops.schemas` for shapes and results."""
    batch, target, features = inputs.shape
    hidden, dtype = state.shape[1], inputs.dtype
    reset_before = cell == "gru" and not reset_after
    source = Source(*contiguous(keys, values, exponentials, in_range, v, lengths, mask))
    weights_of = arrange_weights(
        features, query_weight, query_bias, weight_ih, weight_hh, bias_ih, bias_hh, reset_before
    )
    cell_state, state_mask = contiguous(cell_state, state_mask)
    gates, size = weights_of.of_context.shape
    positions = source.values.shape[1]
    stacked = torch.cat([weights_of.of_state, weights_of.of_query])
    query_columns = slice(weights_of.of_state.shape[0], None)

    def buffer(*shape: int) -> Tensor:
        return inputs.new_empty(shape, dtype=torch.float32)

    states = state.new_empty(target, batch, hidden)
    weights, logsumexp = buffer(target, batch, positions), buffer(target, batch)
    saved = {"rnn": 0, "gru": 4 if reset_after else 3, "lstm": 4}[cell] * hidden
    activations = buffer(target, batch, saved)
    cells = buffer(target, batch, hidden) if cell == "lstm" else buffer(0)
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
    for i in range(target):
        product(operand, stacked.T, out=recurrent[i])
        context = from_context if combined_late else contexts[i]
        attend_tiles(
            recurrent[i, :, query_columns], 1, attended, (parameters, tiles), context, weights[i], None,
            query_bias=weights_of.query_bias,
        )  # fmt: skip
        to_combine = tiles if combined_late else None
        if of_tiles is not None and tiles is not None:
            product(tiles.context.flatten(0, 1), weights_of.of_context.T, out=of_tiles.flatten(0, 1))
            to_combine = tiles._replace(projected_context=of_tiles)
        elif not projected:
            if tiles is not None:
                combine_tiles(tiles, context, weights[i], None, positions)
            product(context, weights_of.of_context.T, out=from_context)
        step = Gates(from_input[:, i], recurrent[i], from_context, to_combine, weights_of.bias_ih, weights_of.bias_hh)
        normalise = logsumexp[i] if to_combine is not None else None
        if weights_of.of_reset is not None:
            reset_step(step, recurrence, reset_state, activations[i], normalise)
            candidate = product(reset_state, weights_of.of_reset.T)
            update_step(candidate, weights_of.bias_hh, recurrence, states[i], activations[i])
        else:
            cell_step(
                step, recurrence, states[i], cell=cell, logsumexp=normalise,
                cell_state=(cells[i - 1] if i else cell_state) if cell == "lstm" else None,
                new_cell=cells[i] if cell == "lstm" else None, activations=activations[i] if saved else None,
            )  # fmt: skip

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
        final_cell = (cells[-1] if target else cell_state).to(cell_state.dtype, copy=True)
    return states, contexts, weights, final_cell, cells, activations, queries
