"""The decoder's recurrence in one cooperative launch, where a plan says that it fits."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq_fast.cuda_kernels.engine import Engine, addressable, dtype_of
from seq2seq_fast.cuda_kernels.plan import DecoderPlan, plan_decoder
from seq2seq_fast.raw.decoder import DecoderCall
from seq2seq_fast.raw.tensors import acc_empty


def plan_of(engine: Engine, call: DecoderCall, planner: Callable[..., DecoderPlan] = plan_decoder) -> DecoderPlan:
    """The plan for a call on its tensors' device; ``planner`` is forward's or backward's."""
    batch, positions, units = call.source.keys.shape
    return planner(
        engine.device(call.inputs), cell=call.cell, reset_after=call.reset_after, batch=batch, positions=positions,
        units=units, hidden=call.hidden, itemsize=call.inputs.element_size(),
    )  # fmt: skip


def forward_in_one_launch(
    engine: Engine, plan: DecoderPlan, call: DecoderCall, stacked: tuple[Tensor, Tensor | None]
) -> tuple[Tensor, ...]:
    """What the raw operator ``attention_decoder_forward`` gives.

    ``stacked`` is the query's weights, then those of the gates that read the state, and their bias.

    The context is linear in the weights, and enters the gates linearly: the values are projected to gates once, and the
    contexts themselves are made for all positions behind the launch.
    """
    inputs, state, cell_state, source, weights_of, state_mask, _, _ = call
    keys, values, exponentials, in_range, v, lengths, mask = source
    keys, exponentials = addressable(keys), addressable(exponentials)
    batch, target, _ = inputs.shape
    size, positions, units = call.hidden, keys.shape[1], keys.shape[2]
    gates = call.gates // size
    weight, bias = stacked
    gates_input = F.linear(inputs.transpose(0, 1), call.input_weight, weights_of.bias_ih).contiguous()
    projected = F.linear(values, call.context_weight).contiguous()
    if bias is None:
        bias = weight.new_zeros(weight.shape[0])
    mask_of_state = None if state_mask is None else state_mask.float().contiguous()
    cell = None if cell_state is None else cell_state.float().contiguous()
    states = state.new_empty(target, batch, size)
    weights, queries = acc_empty(inputs, target, batch, positions), acc_empty(inputs, target, batch, units)
    activations = acc_empty(inputs, target, batch, call.activations)
    cells = acc_empty(inputs, 0) if cell is None else acc_empty(inputs, target, batch, size)
    recurrent = acc_empty(inputs, batch, gates * size)
    stride = engine.module.decoder_stride(dtype_of(inputs), size)
    exchanged = inputs.new_zeros(-(-batch // 16) * 16, stride)
    engine.launch(
        "attention_decoder_forward", inputs, dtype_of(inputs), state.dtype == torch.float32, keys, exponentials,
        in_range, lengths, mask, weight.contiguous(), bias.float(), v, gates_input, projected, mask_of_state, cell,
        state.contiguous(), states, weights, queries, cells, activations, recurrent, exchanged, batch, target,
        positions, units, size, gates, plan.blocks, plan.rows, plan.slices, plan.keys_resident,
    )  # fmt: skip
    contexts = torch.bmm(weights.transpose(0, 1), values.float()).transpose(0, 1).to(values.dtype).contiguous()
    final_cell = state.new_empty(0) if cell_state is None else cells[-1].to(cell_state.dtype, copy=True)
    return states, contexts, weights, final_cell, cells, activations, queries
