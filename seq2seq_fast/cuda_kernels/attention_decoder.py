"""The decoder's recurrence: one launch where a plan says that it fits, else a few launches a position.

Those of a position: one product of the state with the stacked query and recurrent weights, attention, the context's
product, the gates. Everything the next position does not need is done before or after.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq_fast.cuda_kernels.additive_attention import attend_forward, attend_into, partial_contexts
from seq2seq_fast.cuda_kernels.attention_decoder_backward import attention_decoder_backward
from seq2seq_fast.cuda_kernels.decoder_launch import forward_in_one_launch, plan_of
from seq2seq_fast.cuda_kernels.engine import Engine
from seq2seq_fast.cuda_kernels.gru_cell import gru_gates_into, launch_forward
from seq2seq_fast.cuda_kernels.lstm_cell import lstm_gates_forward
from seq2seq_fast.raw.decoder import DecoderCall
from seq2seq_fast.raw.tensors import acc_empty

__all__ = ["attention_decoder_backward", "attention_decoder_forward", "attention_decoder_step"]


class StackedWeights(NamedTuple):
    """What multiplies the state, in one product: the query's rows, then the gates' rows that read the state itself."""

    weight: Tensor
    bias: Tensor | None


def stack_weights(call: DecoderCall) -> StackedWeights:
    """[A + R, H], where R leaves out the candidate of a GRU whose reset gate works before the product."""
    query_weight, query_bias, _, weight_hh, _, bias_hh = call.weights
    rows = call.direct_rows
    weight = torch.cat([query_weight, weight_hh[:rows]])
    if query_bias is None and bias_hh is None:
        return StackedWeights(weight, None)
    biases = (
        query_weight.new_zeros(query_weight.shape[0]) if query_bias is None else query_bias,
        query_weight.new_zeros(rows) if bias_hh is None else bias_hh[:rows],
    )
    return StackedWeights(weight, torch.cat(biases))


def attention_decoder_forward(engine: Engine, *arguments: Any) -> tuple[Tensor, ...]:
    """All positions; arguments and results as the schema has them."""
    call = DecoderCall.of(*arguments)
    stacked = stack_weights(call)
    plan = plan_of(engine, call)
    if plan.fits and call.inputs.shape[1]:
        found = engine.in_one_launch(call.inputs, lambda: forward_in_one_launch(engine, plan, call, stacked))
        if found is not None:
            return found
    return _forward_by_position(engine, call, stacked)


def _forward_by_position(engine: Engine, call: DecoderCall, stacked: StackedWeights) -> tuple[Tensor, ...]:
    inputs, state, cell_state, source, weights_of, state_mask, cell, reset_after = call
    keys, values, *_ = source
    batch, target, _ = inputs.shape
    size, units, positions = call.hidden, keys.shape[2], keys.shape[1]
    context_weight = call.context_weight.t()
    gates_from_inputs = F.linear(inputs.transpose(0, 1), call.input_weight, weights_of.bias_ih)
    products = inputs.new_empty(target, batch, stacked.weight.shape[0])
    states, contexts = state.new_empty(target, batch, size), values.new_empty(target, batch, values.shape[2])
    weights, denominators = acc_empty(inputs, target, batch, positions), acc_empty(inputs, batch)
    partial = partial_contexts(engine, batch, 1, keys, values)
    activations = acc_empty(inputs, target, batch, call.activations)
    cells = acc_empty(inputs, target, batch, size) if cell == "lstm" else acc_empty(inputs, 0)
    hidden, memory_cell = state, None if cell_state is None else cell_state.float()
    for i in range(target):
        if state_mask is not None:
            hidden = hidden * state_mask
        product = products[i]
        if stacked.bias is None:
            torch.mm(hidden.to(inputs.dtype), stacked.weight.t(), out=product)
        else:
            torch.addmm(stacked.bias, hidden.to(inputs.dtype), stacked.weight.t(), out=product)
        attend_into(engine, product[:, :units].unsqueeze(1), source, contexts[i], weights[i], denominators, partial)
        gates_input = torch.addmm(gates_from_inputs[i], contexts[i], context_weight)
        memory_cell = _cell_step(
            engine, call, gates_input, product[:, units:], hidden.to(state.dtype), memory_cell, states[i],
            activations[i],
        )  # fmt: skip
        if memory_cell is not None:
            cells[i] = memory_cell
        hidden = states[i]
    if cell == "gru" and reset_after:
        activations[:, :, 3 * size :] = products[:, :, units + 2 * size :]
    final_cell = state.new_empty(0)
    if cell_state is not None and memory_cell is not None:
        final_cell = memory_cell.to(cell_state.dtype, copy=True)
    return states, contexts, weights, final_cell, cells, activations, products[:, :, :units].float().contiguous()


def _cell_step(
    engine: Engine,
    call: DecoderCall,
    gates_input: Tensor,
    gates_hidden: Tensor,
    hidden: Tensor,
    memory_cell: Tensor | None,
    new_hidden: Tensor,
    activations: Tensor,
) -> Tensor | None:
    """Writes the new state and what backward needs; an LSTM's new cell is returned."""
    size = hidden.shape[1]
    if memory_cell is not None:
        if hidden.dtype != gates_input.dtype:  # a carried float32 state is not rounded to the gates' dtype
            gates_input, gates_hidden = gates_input.float(), gates_hidden.float()
        found, memory_cell, active = lstm_gates_forward(engine, gates_input, gates_hidden, memory_cell)
        new_hidden.copy_(found)
        activations.copy_(active)
        return memory_cell
    if call.cell == "rnn":
        torch.tanh(gates_input.float() + gates_hidden.float(), out=activations)
        new_hidden.copy_(activations)
    elif call.reset_after:
        gru_gates_into(engine, gates_input, gates_hidden, hidden, new_hidden, activations)
    else:
        weight_hh, bias_hh = call.weights.weight_hh, call.weights.bias_hh
        reset_and_z = hidden.new_empty(hidden.shape[0], 2 * size)
        gates = (gates_input[:, : 2 * size], gates_hidden)
        launch_forward(engine, "gru_reset_forward", gates, (hidden,), (reset_and_z, activations), hidden.shape)
        candidate = F.linear(
            reset_and_z[:, :size].to(gates_input.dtype), weight_hh[2 * size :],
            None if bias_hh is None else bias_hh[2 * size :],
        )  # fmt: skip
        states = (reset_and_z[:, size:], hidden)
        outputs = (new_hidden, activations[:, 2 * size :])
        launch_forward(
            engine, "gru_update_forward", (gates_input[:, 2 * size :], candidate), states, outputs, hidden.shape
        )
    return None


def attention_decoder_step(engine: Engine, *arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One position of K beams a source; arguments and results as the schema has them."""
    call, projected_values = DecoderCall.of_step(*arguments)
    input, state, cell_state, source, weights_of, state_mask, _, _ = call
    batch, beams, _ = input.shape
    size, units = call.hidden, source.keys.shape[2]
    hidden = state if state_mask is None else (state * state_mask).to(state.dtype)
    stacked = stack_weights(call)
    product = F.linear(hidden.to(input.dtype), stacked.weight, stacked.bias)
    context, weights, _ = attend_forward(engine, product[..., :units], *source, True)
    gates_input = F.linear(input, call.input_weight, weights_of.bias_ih)
    if projected_values is None:
        gates_input = gates_input + F.linear(context, call.context_weight)
    else:
        gates_input = gates_input + torch.bmm(weights.to(projected_values.dtype), projected_values)
    new_state, activations = state.new_empty(batch, beams, size), acc_empty(state, batch * beams, call.activations)
    new_cell = _cell_step(
        engine, call, gates_input.flatten(0, 1), product.flatten(0, 1)[:, units:], hidden.flatten(0, 1),
        None if cell_state is None else cell_state.float().flatten(0, 1), new_state.flatten(0, 1), activations,
    )  # fmt: skip
    final = state.new_empty(0)
    if cell_state is not None and new_cell is not None:
        final = new_cell.to(cell_state.dtype).view(batch, beams, size)
    return new_state, final, context, weights
