"""The decoder's reversed recurrence in one cooperative launch, where a plan says that it fits."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from seq2seq_fast.cuda_kernels.engine import Engine, addressable, dtype_of
from seq2seq_fast.cuda_kernels.plan import DecoderPlan
from seq2seq_fast.raw.decoder import BackwardCall
from seq2seq_fast.raw.tensors import acc_empty


class ReversedLoop(NamedTuple):
    """What the reversed recurrence leaves for the products behind it.

    Attributes:
        gates: [Ty, B, G H] float32, of the gates.
        product: [Ty, B, A + R], of queries and of what the gates read of the state.
        context: [Ty, B, D], of the contexts.
        scores: [Ty, B, Tx] float32, of the scores.
        state, cell_state: [B, H] float32, of the initial state; the cell's is None unless the cell is an LSTM.
    """

    gates: Tensor
    product: Tensor
    context: Tensor
    scores: Tensor
    state: Tensor
    cell_state: Tensor | None


def backward_in_one_launch(
    engine: Engine,
    plan: DecoderPlan,
    backward: BackwardCall,
    stacked: Tensor,
    previous: Tensor | None,
) -> ReversedLoop:
    """The loop of ``attention_decoder_backward``.

    Args:
        stacked: [A + G H, H], the weights that multiply the state.
        previous: [Ty, B, H] float32, a GRU's masked states before each step or an LSTM's cells; None for an RNN.
    """
    grad_states, grad_contexts, grad_weights, grad_final_cell = backward.grads
    keys, values, _, _, v, lengths, mask = backward.call.source
    keys = addressable(keys)
    context_weight, state_mask = backward.call.context_weight, backward.call.state_mask
    weights, queries, activations = backward.kept.weights, backward.kept.queries, backward.kept.activations
    target, batch, positions = weights.shape
    (rows, size), units, dtype = stacked.shape, keys.shape[2], keys.dtype
    gates = (rows - units) // size

    def floats(tensor: Tensor | None, *shape: int) -> Tensor:
        return keys.new_zeros(shape, dtype=torch.float32) if tensor is None else tensor.float().contiguous()

    through_weights = floats(grad_weights, target, batch, positions)
    if grad_contexts is not None:
        through_contexts = torch.bmm(grad_contexts.transpose(0, 1).float(), values.float().transpose(1, 2))
        through_weights = through_weights + through_contexts.transpose(0, 1)
    stride = engine.module.reversed_decoder_stride(dtype_of(keys), units, size, gates, plan.parts)
    grad_gates = acc_empty(keys, target, batch, gates * size)
    grad_scores = acc_empty(keys, target, batch, positions)
    grad_product = keys.new_zeros(target, -(-batch // 16) * 16, stride)
    partial, through = floats(None, plan.parts, batch, size), floats(grad_final_cell, batch, size)
    if grad_final_cell is not None:
        through = through.clone()  # the launch writes it
    engine.launch(
        "attention_decoder_backward", keys, dtype_of(keys), keys, lengths, mask, stacked.t().contiguous(), v,
        F.linear(values, context_weight).contiguous(), None if state_mask is None else floats(state_mask),
        floats(grad_states, target, batch, size), through_weights.contiguous(), previous,
        backward.kept.cells.contiguous(), activations.contiguous(), weights.contiguous(), queries.float().contiguous(),
        grad_gates, grad_scores, grad_product, partial, through, batch, target, positions, units, size, gates,
        plan.blocks, plan.rows, plan.parts, plan.keys_resident,
    )  # fmt: skip
    grad_context = grad_gates.to(dtype) @ context_weight
    if grad_contexts is not None:
        grad_context += grad_contexts
    state = partial.sum(0)
    if gates == 3:
        state = state + through
    if state_mask is not None:
        state = state * state_mask
    product = grad_product[:, :batch, :rows]
    return ReversedLoop(grad_gates, product, grad_context, grad_scores, state, through if gates == 4 else None)
