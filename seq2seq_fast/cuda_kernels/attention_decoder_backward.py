"""The reversed recurrence: one launch where a plan says that it fits, else a few launches a position.

The loop carries the gradient of the state.

The gradients of all weights, of the keys, of the values and of v are made for all positions at once behind it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seq2seq_fast.cuda_kernels.additive_attention import score_gradient, values_gradient
from seq2seq_fast.cuda_kernels.additive_score import score_gradients
from seq2seq_fast.cuda_kernels.decoder_launch_backward import ReversedLoop, backward_in_one_launch, backward_plan_of
from seq2seq_fast.cuda_kernels.engine import Engine, acc_empty, contiguous
from seq2seq_fast.cuda_kernels.gru_cell import gru_gates_backward, gru_reset_backward, gru_update_backward
from seq2seq_fast.cuda_kernels.lstm_cell import lstm_gates_backward


def attention_decoder_backward(
    engine: Engine, grad_states, grad_contexts, grad_weights, grad_final_cell, inputs, state, cell_state, keys, values,
    exponentials, in_range, query_weight, query_bias, v, weight_ih, weight_hh, bias_ih, bias_hh, lengths, mask,
    state_mask, cell, reset_after, states, contexts, weights, cells, activations, queries, needs,
) -> tuple[Tensor, ...]:  # fmt: skip
    batch, target, features = inputs.shape
    size, units, dtype = state.shape[1], query_weight.shape[0], inputs.dtype
    keys, values, v, lengths, mask, weights = contiguous(keys, values, v, lengths, mask, weights)
    queries = queries.to(dtype)
    context_weight = weight_ih[:, features:]
    direct = 2 * size if cell == "gru" and not reset_after else weight_hh.shape[0]
    stacked = torch.cat([query_weight, weight_hh[:direct]])
    previous = torch.cat([state.unsqueeze(0), states])[:target].float()
    if state_mask is not None:
        previous = previous * state_mask

    previous_cells = None
    if cell == "lstm":
        previous_cells = torch.cat([cell_state.float().unsqueeze(0), cells])[:target]
    grads = (grad_states, grad_contexts, grad_weights, grad_final_cell)
    source, saved = (keys, values, v, lengths, mask), (weights, queries, activations)
    plan = backward_plan_of(engine, inputs, state, keys, cell, reset_after)
    if plan.fits and target:
        before = {"rnn": None, "gru": previous, "lstm": previous_cells}[cell]
        new_cells = states.float() if cell == "rnn" else cells
        loop = backward_in_one_launch(
            engine, plan, grads, source, (stacked, context_weight), state_mask, before, new_cells, saved
        )
    else:
        loop = _backward_by_position(
            engine, grads, source, (stacked, context_weight, weight_hh[2 * size :]), state_mask, previous,
            previous_cells, (states, cells), saved, (cell, reset_after),
        )  # fmt: skip
    grad_gates, grad_product, grad_context, grad_scores, carried, carried_cell = loop
    gates, product, rows = (
        grad_gates.to(dtype).flatten(0, 1),
        grad_product.flatten(0, 1),
        previous.to(dtype).flatten(0, 1),
    )
    need = dict(zip(NAMES, needs, strict=True))
    found: dict[str, Tensor] = {}
    found["state"] = carried
    if carried_cell is not None:
        found["cell_state"] = carried_cell
    if need["inputs"]:
        found["inputs"] = (gates @ weight_ih[:, :features]).view(target, batch, features).transpose(0, 1)
    if need["keys"] or need["v"]:
        _, grad_keys, grad_v = score_gradients(
            engine, grad_scores.transpose(0, 1), queries.transpose(0, 1), keys, v, (False, need["keys"], need["v"])
        )
        found |= {name: g for name, g in (("keys", grad_keys), ("v", grad_v)) if g is not None}
    if need["values"]:
        by_batch = (grad_context.transpose(0, 1).contiguous(), weights.transpose(0, 1).contiguous())
        found["values"] = values_gradient(engine, *by_batch, values)
    if need["query_weight"] or need["weight_hh"]:
        of_stacked = product.t() @ rows
        found["query_weight"] = of_stacked[:units]
        found["weight_hh"] = of_stacked[units:]
        if direct < weight_hh.shape[0]:
            reset = (activations[:, :, :size] * previous).to(dtype).flatten(0, 1)
            found["weight_hh"] = torch.cat([of_stacked[units:], gates[:, direct:].t() @ reset])
    if need["weight_ih"]:
        read = torch.cat([inputs.transpose(0, 1), contexts.to(dtype)], dim=2).flatten(0, 1)
        found["weight_ih"] = gates.t() @ read
    of_gates = grad_gates.sum((0, 1))
    found["bias_ih"] = of_gates
    of_product = grad_product.float().sum((0, 1))
    found["query_bias"] = of_product[:units]
    found["bias_hh"] = torch.cat([of_product[units:], of_gates[direct:]])
    tensors = (
        inputs, state, cell_state, keys, values, query_weight, query_bias, v, weight_ih, weight_hh, bias_ih, bias_hh,
    )  # fmt: skip
    return tuple(
        found[name].to(tensor.dtype).contiguous() if tensor is not None and need[name] else inputs.new_empty(0)
        for name, tensor in zip(NAMES, tensors, strict=True)
    )


NAMES = (
    "inputs", "state", "cell_state", "keys", "values", "query_weight", "query_bias", "v", "weight_ih", "weight_hh",
    "bias_ih", "bias_hh",
)  # fmt: skip


def _backward_by_position(
    engine: Engine,
    grads: tuple,
    source: tuple,
    weights_of: tuple[Tensor, Tensor, Tensor],
    state_mask: Tensor | None,
    previous: Tensor,
    previous_cells: Tensor | None,
    after: tuple[Tensor, Tensor],
    saved: tuple[Tensor, Tensor, Tensor],
    kind: tuple[str, bool],
) -> ReversedLoop:
    """A few launches a position; arguments as of :func:`backward_in_one_launch`."""
    grad_states, grad_contexts, grad_weights, grad_final_cell = grads
    keys, values, v, lengths, mask = source
    stacked, context_weight, candidate_weight = weights_of
    (states, cells), (weights, queries, activations), (cell, reset_after) = after, saved, kind
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
        elif cell == "gru":
            grad_gates[i], grad_recurrent, through = _gru_step(
                engine, grad, previous[i], activations[i], candidate_weight, reset_after
            )
        else:
            grad_gates[i] = grad * (1 - states[i].float().square())
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
