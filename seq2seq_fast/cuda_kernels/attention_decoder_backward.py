"""The reversed recurrence: one launch where a plan says that it fits, else a few launches a position.

The loop carries the gradient of the state.

The gradients of all weights, of the keys, of the values and of v are made for all positions at once behind it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seq2seq_fast.cuda_kernels.additive_attention import score_gradient, values_gradient
from seq2seq_fast.cuda_kernels.additive_score import score_gradients
from seq2seq_fast.cuda_kernels.decoder_launch import plan_of
from seq2seq_fast.cuda_kernels.decoder_launch_backward import ReversedLoop, backward_in_one_launch
from seq2seq_fast.cuda_kernels.engine import Engine
from seq2seq_fast.cuda_kernels.gru_cell import gru_gates_backward, gru_reset_backward, gru_update_backward
from seq2seq_fast.cuda_kernels.lstm_cell import lstm_gates_backward
from seq2seq_fast.cuda_kernels.plan_backward import plan_decoder_backward
from seq2seq_fast.raw.decoder import BackwardCall
from seq2seq_fast.raw.tensors import acc_empty


def attention_decoder_backward(engine: Engine, *arguments: Any) -> tuple[Tensor, ...]:
    """Gradients of what has one; arguments and results as the schema has them."""
    backward = BackwardCall.of(*arguments)
    call, kept, need = backward.call, backward.kept, backward.need
    inputs, state, cell_state, source, weights_of, state_mask, cell, _ = call
    batch, target, features = inputs.shape
    units, dtype = source.keys.shape[2], inputs.dtype
    stacked = torch.cat([weights_of.query_weight, weights_of.weight_hh[: call.direct_rows]])
    previous = torch.cat([state.unsqueeze(0), kept.states])[:target].float()
    if state_mask is not None:
        previous = previous * state_mask
    previous_cells = None
    if cell_state is not None:
        previous_cells = torch.cat([cell_state.float().unsqueeze(0), kept.cells])[:target]
    plan = plan_of(engine, call, plan_decoder_backward)
    loop = None
    if plan.fits and target:
        before = {"rnn": None, "gru": previous, "lstm": previous_cells}[cell]
        loop = engine.in_one_launch(inputs, lambda: backward_in_one_launch(engine, plan, backward, stacked, before))
    if loop is None:
        loop = _backward_by_position(engine, backward, stacked, previous, previous_cells)
    grad_gates, grad_product, grad_context, grad_scores, carried, carried_cell = loop
    gates, product, rows = (
        grad_gates.to(dtype).flatten(0, 1),
        grad_product.flatten(0, 1),
        previous.to(dtype).flatten(0, 1),
    )
    found: dict[str, Tensor | None] = {"state": carried, "cell_state": carried_cell}
    if need["inputs"]:
        found["inputs"] = (gates @ call.input_weight).view(target, batch, features).transpose(0, 1)
    if need["keys"] or need["v"]:
        _, found["keys"], found["v"] = score_gradients(
            engine, grad_scores.transpose(0, 1), kept.queries.to(dtype).transpose(0, 1), source.keys, source.v,
            (False, need["keys"], need["v"]),
        )  # fmt: skip
    if need["values"]:
        by_batch = (grad_context.transpose(0, 1).contiguous(), kept.weights.transpose(0, 1).contiguous())
        found["values"] = values_gradient(engine, *by_batch, source.values)
    if need["query_weight"] or need["weight_hh"]:
        of_stacked = product.t() @ rows
        found["query_weight"] = of_stacked[:units]
        found["weight_hh"] = of_stacked[units:]
        if call.reset_before:
            reset = (kept.activations[:, :, : call.hidden] * previous).to(dtype).flatten(0, 1)
            of_candidate = gates[:, call.direct_rows :].t() @ reset
            found["weight_hh"] = torch.cat([of_stacked[units:], of_candidate])
    if need["weight_ih"]:
        read = torch.cat([inputs.transpose(0, 1), kept.contexts.to(dtype)], dim=2).flatten(0, 1)
        found["weight_ih"] = gates.t() @ read
    of_gates = grad_gates.sum((0, 1))
    found["bias_ih"] = of_gates
    of_product = grad_product.float().sum((0, 1))
    found["query_bias"] = of_product[:units]
    found["bias_hh"] = torch.cat([of_product[units:], of_gates[call.direct_rows :]])
    return backward.results(found)


def _backward_by_position(
    engine: Engine, backward: BackwardCall, stacked: Tensor, previous: Tensor, previous_cells: Tensor | None
) -> ReversedLoop:
    """A few launches a position; ``previous`` are the masked states before each step, ``previous_cells`` an LSTM's."""
    call = backward.call
    grad_states, grad_contexts, grad_weights, grad_final_cell = backward.grads
    keys, values, _, _, v, lengths, mask = call.source
    _, _, weights, cells, activations, queries = backward.kept
    weights, queries, context_weight = weights.contiguous(), queries.to(keys.dtype), call.context_weight
    state_mask, candidate_weight = call.state_mask, call.weights.weight_hh[2 * call.hidden :]
    target, batch, size = previous.shape
    units, dtype = keys.shape[2], keys.dtype
    grad_gates = acc_empty(keys, target, batch, context_weight.shape[0])
    grad_product = keys.new_empty(target, batch, stacked.shape[0])
    grad_context = values.new_empty(target, batch, values.shape[2])
    grad_scores = acc_empty(keys, target, batch, keys.shape[1])
    carried = torch.zeros(batch, size, dtype=torch.float32, device=keys.device)
    carried_cell = None
    if previous_cells is not None:
        carried_cell = torch.zeros_like(carried)
        if grad_final_cell is not None:
            carried_cell.copy_(grad_final_cell)

    for i in reversed(range(target)):
        grad = carried if grad_states is None else carried + grad_states[i]
        if previous_cells is not None:
            grad_gates[i], carried_cell = lstm_gates_backward(
                engine, grad, carried_cell, previous_cells[i], cells[i], activations[i]
            )
            grad_recurrent, through = grad_gates[i], None
        elif call.cell == "gru":
            grad_gates[i], grad_recurrent, through = _gru_step(
                engine, grad, previous[i], activations[i], candidate_weight, call.reset_after
            )
        else:
            grad_gates[i] = grad * (1 - activations[i].square())
            grad_recurrent, through = grad_gates[i], None
        torch.mm(grad_gates[i].to(dtype), context_weight, out=grad_context[i])
        if grad_contexts is not None:
            grad_context[i] += grad_contexts[i]
        through_weights = None if grad_weights is None else grad_weights[i].float().contiguous()
        score_gradient(
            engine, grad_context[i].unsqueeze(1), through_weights, values, weights[i], None, lengths, mask,
            out=grad_scores[i].unsqueeze(1),
        )  # fmt: skip
        grad_query, _, _ = score_gradients(
            engine, grad_scores[i].unsqueeze(1), queries[i].unsqueeze(1), keys, v, (True, False, False)
        )
        assert grad_query is not None
        grad_product[i, :, :units] = grad_query.squeeze(1)
        grad_product[i, :, units:] = grad_recurrent
        carried = torch.mm(grad_product[i], stacked).float()
        if through is not None:
            carried += through
        if state_mask is not None:
            carried = carried * state_mask
    return ReversedLoop(grad_gates, grad_product, grad_context, grad_scores, carried, carried_cell)


def _gru_step(
    engine: Engine, grad: Tensor, hidden: Tensor, activations: Tensor, candidate_weight: Tensor, reset_after: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients, in float32, of the gates, of what the state's own product gave them, and of the state past them."""
    size = hidden.shape[1]
    if reset_after:
        # The kernel reads the third of the gates' summands from the state: forward saved it behind r, z, n.
        return gru_gates_backward(engine, grad, activations[:, size:], hidden, activations)
    z, n = activations[:, size : 2 * size], activations[:, 2 * size :]
    grad_candidate, grad_z, through = gru_update_backward(engine, grad, z, hidden, n)
    grad_reset = torch.mm(grad_candidate.to(candidate_weight.dtype), candidate_weight).float()
    grad_gates, through_reset = gru_reset_backward(
        engine, torch.cat([grad_reset, grad_z], dim=1), hidden, activations[:, : 2 * size]
    )
    return torch.cat([grad_gates, grad_candidate], dim=1), grad_gates, through + through_reset
