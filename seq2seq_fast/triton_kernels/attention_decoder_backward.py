"""The raw operator of the decoder's backward: the reversed loop, then everything that needs no order.

In the loop: the cell's gradient, its product with the context's weights, the two attention kernels, and one product
with the stacked weights. After it, for all positions at once: the gradients of every weight, of inputs and values
(products), and of keys and v (one kernel of :mod:`seq2seq_fast.triton_kernels.many_queries_backward`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seq2seq_fast.raw.attention import Source
from seq2seq_fast.raw.decoder import BackwardCall
from seq2seq_fast.raw.tensors import asked, contiguous
from seq2seq_fast.triton_kernels.attention_decoder import Weights, arrange_weights
from seq2seq_fast.triton_kernels.decoder_cells_backward import (
    StateGradient,
    cell_step_backward,
    reset_step_backward,
    update_step_backward,
)
from seq2seq_fast.triton_kernels.kernel import Each
from seq2seq_fast.triton_kernels.key_exponentials import prepare_steps
from seq2seq_fast.triton_kernels.many_queries_backward import unit_gradients
from seq2seq_fast.triton_kernels.one_query_backward import score_gradient, weights_gradient
from seq2seq_fast.triton_kernels.products import batched_product, product


class Steps(NamedTuple):
    """What forward kept, time-major, and what the loop leaves for the products after it.

    Attributes:
        previous: [Ty, B, H], the states that the steps start from, masked, in the dtype of the products.
        grad_input: [Ty, B, G H] and grad_state: [Ty, B, S + A], gradients of the products of input (and context) and
            of the state with the stacked weights.
        reset_state: [Ty, B, H] with the reset before the product, else None.
        score_slopes: [Ty, B, Tx], the scores' gradients.
    """

    previous: Tensor
    grad_input: Tensor
    grad_state: Tensor
    reset_state: Tensor | None
    score_slopes: Tensor


def attention_decoder_backward(*arguments: Any) -> tuple[Tensor, ...]:
    """Gradients of the twelve differentiable arguments, [0] for each that is not asked for; as the schema has them."""
    call, grads, kept, _ = BackwardCall.of(*arguments)
    inputs, state, cell_state, source, _, state_mask, cell, _ = call
    grad_states, grad_contexts, grad_weights, grad_final_cell = grads
    states, contexts, weights, cells, activations, queries = kept
    needs: Sequence[bool] = arguments[-1]
    grad_states, grad_contexts, grad_weights, state, cell_state, state_mask = contiguous(
        grad_states, grad_contexts, grad_weights, state, cell_state, state_mask
    )
    target, batch, hidden = states.shape
    dtype = inputs.dtype
    reset_before = call.reset_before
    weights_of = arrange_weights(call)
    gates, size = weights_of.of_context.shape
    rows = weights_of.of_state.shape[0]
    stacked = torch.cat([weights_of.of_state, weights_of.of_query])
    slopes_given = _weights_gradient_given(grad_contexts, grad_weights, source)

    starts = torch.cat([state.unsqueeze(0), states[:-1]]) if target else states
    steps = Steps(
        (starts if state_mask is None else starts * state_mask).to(dtype),
        inputs.new_empty(target, batch, gates), inputs.new_empty(target, batch, stacked.shape[0]),
        inputs.new_empty(target, batch, hidden) if reset_before else None, torch.empty_like(weights),
    )  # fmt: skip
    from_products, direct = (weights.new_zeros(batch, hidden) for _ in range(2))
    grad_cell = None
    if cell_state is not None:
        grad_cell = weights.new_zeros(batch, hidden)
        if grad_final_cell is not None:
            grad_cell.copy_(grad_final_cell)
    grad_context, grad_reset = weights.new_empty(batch, size), torch.empty_like(direct)
    gradient = StateGradient(None if grad_states is None else Each(grad_states), from_products, direct, state_mask)
    saved, previous = Each(activations), Each(starts)
    grad_input, grad_state = Each(steps.grad_input), Each(steps.grad_state)
    if steps.reset_state is not None:
        update = update_step_backward(gradient, saved, previous, grad_input, grad_state)
        reset = reset_step_backward(
            grad_reset, gradient, saved, previous, grad_input, grad_state, Each(steps.reset_state)
        )
    else:
        of_cell = None
        if cell_state is not None and grad_cell is not None:
            old = torch.cat([cell_state.unsqueeze(0).float(), cells[:-1]]) if target else cells
            of_cell = (grad_cell, Each(old), Each(cells))
        new_state = cell_step_backward(gradient, saved, previous, of_cell, grad_input, grad_state, cell)
    given = None if slopes_given is None else Each(slopes_given.transpose(0, 1))
    through_weights, slopes, deltas = weights_gradient(grad_context, given, Each(weights), source, None)
    through_scores = score_gradient(
        Each(queries), source, slopes, (Each(weights), deltas),
        score_slopes=Each(steps.score_slopes), grad_query=Each(steps.grad_state[:, :, rows:]),
    )  # fmt: skip
    to_gates, to_state = steps.grad_input.unbind(0), steps.grad_state.unbind(0)
    for i in reversed(range(target)):
        if weights_of.of_reset is not None:
            update(i)
            product(to_gates[i][:, 2 * hidden :], weights_of.of_reset, out=grad_reset)
            reset(i)
        else:
            new_state(i)
        product(to_gates[i], weights_of.of_context, out=grad_context)
        through_weights(i)
        through_scores(i)
        product(to_state[i], stacked, out=from_products)

    grad_first = from_products + direct
    if state_mask is not None:
        grad_first *= state_mask
    of_weights = _weight_gradients(steps, weights_of, inputs, contexts, needs)
    grad_keys, grad_values, grad_v = _source_gradients(
        steps, weights_of, source, weights, queries, grad_contexts, (needs[3], needs[4], needs[7])
    )
    query_weight_grad, query_bias_grad, ih_grad, hh_grad, bias_ih_grad, bias_hh_grad = of_weights
    grad_inputs = None
    if needs[0]:
        flat = product(steps.grad_input.flatten(0, 1), weights_of.of_input)
        by_source = flat.unflatten(0, (target, batch)).transpose(0, 1)
        grad_inputs = by_source.to(dtype).contiguous()
    return asked(
        (
            grad_inputs,
            grad_first.to(state.dtype) if needs[1] else None,
            grad_cell.to(cell_state.dtype) if needs[2] and cell_state is not None and grad_cell is not None else None,
            grad_keys, grad_values, query_weight_grad, query_bias_grad, grad_v, ih_grad, hh_grad, bias_ih_grad,
            bias_hh_grad,
        ),
        inputs,
    )  # fmt: skip


def _weights_gradient_given(grad_contexts: Tensor | None, grad_weights: Tensor | None, source: Source) -> Tensor | None:
    """What the loss itself gives as gradient of the weights, [B, Ty, Tx] in float32."""
    given = None
    if grad_contexts is not None:
        given = batched_product(grad_contexts.transpose(0, 1), source.values.transpose(1, 2))
    if grad_weights is not None:
        by_source = grad_weights.transpose(0, 1)
        given = by_source.float().contiguous() if given is None else given.add_(by_source)
    return given


def _weight_gradients(
    steps: Steps, weights_of: Weights, inputs: Tensor, contexts: Tensor, needs: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """Gradients of query_weight, query_bias, weight_ih, weight_hh, bias_ih, bias_hh."""
    dtype = inputs.dtype
    rows = weights_of.of_state.shape[0]
    grad_input, grad_state = steps.grad_input.flatten(0, 1), steps.grad_state.flatten(0, 1)
    of_query = of_state = of_input = None
    if needs[5]:
        of_query = product(grad_state[:, rows:].T, steps.previous.flatten(0, 1))
    if needs[9]:
        of_state = product(grad_state[:, :rows].T, steps.previous.flatten(0, 1))
        if steps.reset_state is not None:
            of_reset = product(grad_input[:, rows:].T, steps.reset_state.flatten(0, 1))
            of_state = torch.cat([of_state, of_reset])
    if needs[8]:
        by_step = inputs.transpose(0, 1).flatten(0, 1)
        of_input = torch.cat([product(grad_input.T, by_step), product(grad_input.T, contexts.flatten(0, 1))], dim=1)
    bias_ih = grad_input.sum(0, dtype=torch.float32) if needs[10] or needs[11] else None
    bias_hh = None
    if bias_ih is not None and needs[11]:
        bias_hh = grad_state[:, :rows].sum(0, dtype=torch.float32)
        if steps.reset_state is not None:
            bias_hh = torch.cat([bias_hh, bias_ih[rows:]])
    query_bias = grad_state[:, rows:].sum(0, dtype=torch.float32) if needs[6] else None
    found = (of_query, query_bias, of_input, of_state, bias_ih, bias_hh)
    wanted = (needs[5], needs[6], needs[8], needs[9], needs[10], needs[11])
    return tuple(g.to(dtype) if g is not None and need else None for g, need in zip(found, wanted, strict=True))


def _source_gradients(
    steps: Steps,
    weights_of: Weights,
    source: Source,
    weights: Tensor,
    queries: Tensor,
    grad_contexts: Tensor | None,
    needs: tuple[bool, bool, bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of keys, values and v from all positions together."""
    need_keys, need_values, need_v = needs
    grad_keys = torch.empty_like(source.keys) if need_keys else None
    grad_values = grad_v = None
    if need_keys or need_v:
        slopes = steps.score_slopes.transpose(0, 1)
        grad_v = unit_gradients(prepare_steps(queries), source, slopes, grad_keys, of_keys=True, with_v=need_v)
    if need_values:
        of_contexts = product(steps.grad_input.flatten(0, 1), weights_of.of_context)
        of_contexts = of_contexts.unflatten(0, steps.grad_input.shape[:2])
        if grad_contexts is not None:
            of_contexts += grad_contexts
        dtype = source.values.dtype
        grad_values = torch.bmm(weights.permute(1, 2, 0).to(dtype), of_contexts.transpose(0, 1).to(dtype))
    return grad_keys, grad_values, None if grad_v is None else grad_v.to(source.v.dtype)
