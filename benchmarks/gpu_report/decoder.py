"""The raw decoder both ways on meta tensors: what a call takes, what a pass launches, and eager PyTorch's passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

import seq2seq_fast
from benchmarks.gpu_report.eager import EagerKernel, EagerTrace
from benchmarks.gpu_report.passes import Launch
from benchmarks.gpu_report.sizes import DecoderSizes
from benchmarks.gpu_report.tensors import meta, source
from seq2seq_fast.ops.attention_decoder import GATES


class DecoderPass(NamedTuple):
    """What one pass launches, ours and the libraries', and the tensors that it takes and gives."""

    launches: Sequence[Launch]
    library: list[EagerKernel]
    tensors: list[Tensor]


def on_eager(sizes: DecoderSizes, cell: str, dtype: torch.dtype) -> tuple[DecoderPass, DecoderPass]:
    """Forward and backward in eager PyTorch."""
    given = arguments(sizes, cell, dtype)
    with EagerTrace() as forward:
        outputs, leaves = eager_outputs(given)
    with EagerTrace() as backward:
        torch.autograd.grad(outputs, leaves, [torch.empty_like(t) for t in outputs])
    return DecoderPass([], forward.kernels, []), DecoderPass([], backward.kernels, [])


def eager_outputs(given: tuple) -> tuple[list[Tensor], list[Tensor]]:
    """States and contexts of a call with the raw operator's arguments, and the tensors that have gradients."""
    inputs, state, cells, keys, values, _, _, query_weight, query_bias, v, *rest = given
    weights, lengths, cell = rest[:4], rest[4], rest[7]
    leaves = [t.requires_grad_() for t in (inputs, state, keys, values, query_weight, query_bias, v, *weights)]
    output = seq2seq_fast.attention_decoder(
        inputs, state if cells is None else (state, cells), keys, values, query_weight, v, *weights, cell=cell,
        query_bias=query_bias, lengths=lengths, backend="reference",
    )  # fmt: skip
    return [output.states, output.contexts], leaves


def arguments(sizes: DecoderSizes, cell: str, dtype: torch.dtype) -> tuple:
    """Those of the raw operator, all biases there and no mask but lengths."""
    rows = GATES[cell] * sizes.hidden

    def of(*shape: int) -> Tensor:
        return meta(*shape, dtype=dtype)

    state = of(sizes.batch, sizes.hidden)
    return (
        of(sizes.batch, sizes.target, sizes.embedding), state, torch.empty_like(state) if cell == "lstm" else None,
        *source(sizes.batch, sizes.positions, sizes.units, sizes.size, dtype), of(sizes.units, sizes.hidden),
        of(sizes.units), of(sizes.units), of(rows, sizes.embedding + sizes.size), of(rows, sizes.hidden), of(rows),
        of(rows), meta(sizes.batch, dtype=torch.int64), None, None, cell, True,
    )  # fmt: skip


def both_ways(call: Callable, forward: Callable, backward: Callable, given: tuple) -> tuple[DecoderPass, DecoderPass]:
    """Backward gets gradients of states and contexts, which a model reads, and gives all that can be asked for."""
    first, (states, contexts, weights, _, *saved) = call(forward, *given)
    grads = (torch.empty_like(states), torch.empty_like(contexts), None, None)
    second, _ = call(backward, *grads, *given, states, contexts, weights, *saved, (True,) * 12)
    return first, second


def decoder_pass(launches: Sequence[Launch], trace: EagerTrace, tensors: object) -> DecoderPass:
    return DecoderPass(launches, trace.kernels, [t for t in tree_leaves(tensors) if isinstance(t, Tensor)])
