"""The decoder's recurrence in one cooperative launch, where a plan says that it fits."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq_fast.cuda_kernels.engine import Engine, acc_empty, addressable, dtype_of
from seq2seq_fast.cuda_kernels.plan import DecoderPlan, plan_decoder


def plan_of(engine: Engine, inputs: Tensor, state: Tensor, keys: Tensor, cell: str, reset_after: bool) -> DecoderPlan:
    """The plan for these tensors on their device."""
    batch, positions, units = keys.shape
    return plan_decoder(
        engine.device(inputs), cell=cell, reset_after=reset_after, batch=batch, positions=positions, units=units,
        hidden=state.shape[1], itemsize=inputs.element_size(),
    )  # fmt: skip


def forward_in_one_launch(
    engine: Engine,
    plan: DecoderPlan,
    inputs: Tensor,
    state: Tensor,
    cell_state: Tensor | None,
    source: tuple,
    stacked: tuple[Tensor, Tensor | None],
    weight_ih: Tensor,
    bias_ih: Tensor | None,
    state_mask: Tensor | None,
) -> tuple[Tensor, ...]:
    """What the raw operator ``attention_decoder_forward`` gives.

    ``source`` is keys, values, exponentials, in_range, v, lengths, mask, contiguous; ``stacked`` the query's weights,
    then those of the gates that read the state, and their bias.

    The context is linear in the weights, and enters the gates linearly: the values are projected to gates once, and the
    contexts themselves are made for all positions behind the launch.
    """
    keys, values, exponentials, in_range, v, lengths, mask = source
    keys, exponentials = addressable(keys), addressable(exponentials)
    batch, target, features = inputs.shape
    size, positions, units = state.shape[1], keys.shape[1], keys.shape[2]
    gates = weight_ih.shape[0] // size
    weight, bias = stacked
    gates_input = F.linear(inputs.transpose(0, 1), weight_ih[:, :features], bias_ih).contiguous()
    projected = F.linear(values, weight_ih[:, features:]).contiguous()
    if bias is None:
        bias = weight.new_zeros(weight.shape[0])
    mask_of_state = None if state_mask is None else state_mask.float().contiguous()
    cell = None if cell_state is None else cell_state.float().contiguous()
    states = state.new_empty(target, batch, size)
    weights, queries = acc_empty(inputs, target, batch, positions), acc_empty(inputs, target, batch, units)
    activations = acc_empty(inputs, target, batch, 4 * size)
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
