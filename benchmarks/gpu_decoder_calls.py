"""The decoder's raw operators and eager's, both ways on meta tensors, at the paper's sizes and Multi30k's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

import seq2seq_fast
from benchmarks.gpu_calls import meta, source
from benchmarks.gpu_cuda import CudaLaunch, RecordingEngine
from benchmarks.gpu_eager import EagerKernel, EagerTrace
from benchmarks.gpu_launches import Launch, recorded
from seq2seq_fast.cuda_kernels import attention_decoder as cuda_decoder
from seq2seq_fast.cuda_kernels.plan import Device
from seq2seq_fast.triton_kernels.attention_decoder import attention_decoder_forward
from seq2seq_fast.triton_kernels.attention_decoder_backward import attention_decoder_backward

GATES = {"rnn": 1, "gru": 3, "lstm": 4}


class DecoderSizes(NamedTuple):
    """B, Ty, Tx, embedding, A, H, D."""

    batch: int
    target: int
    positions: int
    embedding: int
    units: int
    hidden: int
    size: int


SIZES = {
    "paper": DecoderSizes(80, 50, 50, 620, 1000, 1000, 2000),
    "Multi30k": DecoderSizes(128, 20, 20, 256, 320, 320, 640),
}


class Traced(NamedTuple):
    """What one pass launches, ours and the libraries', and the tensors that it takes and gives."""

    launches: list[Launch] | list[CudaLaunch]
    library: list[EagerKernel]
    tensors: list[Tensor]


def on_cuda(sizes: DecoderSizes, cell: str, dtype: torch.dtype, device: Device) -> tuple[Traced, Traced]:
    """Forward and backward by the CUDA engine; one launch each where the device's plan says so."""
    engine = RecordingEngine(device)

    def call(function: Callable, *arguments: object) -> tuple[Traced, Any]:
        engine.launches = []
        with EagerTrace() as trace:
            results = function(engine, *arguments)
        return _traced(engine.launches, trace, (arguments, results)), results

    return _both(call, cuda_decoder.attention_decoder_forward, cuda_decoder.attention_decoder_backward,
                 arguments(sizes, cell, dtype))  # fmt: skip


def on_triton(sizes: DecoderSizes, cell: str, dtype: torch.dtype) -> tuple[Traced, Traced]:
    """Forward and backward by the Triton engine."""

    def call(function: Callable, *arguments: object) -> tuple[Traced, Any]:
        with recorded() as launches, EagerTrace() as trace:
            results = function(*arguments)
        return _traced(launches, trace, (arguments, results)), results

    return _both(call, attention_decoder_forward, attention_decoder_backward, arguments(sizes, cell, dtype))


def on_eager(sizes: DecoderSizes, cell: str, dtype: torch.dtype) -> tuple[Traced, Traced]:
    """Forward and backward in eager PyTorch."""
    inputs, state, cells, keys, values, _, _, query_weight, query_bias, v, *rest = arguments(sizes, cell, dtype)
    weights, lengths = rest[:4], rest[4]
    leaves = [t.requires_grad_() for t in (inputs, state, keys, values, query_weight, query_bias, v, *weights)]
    with EagerTrace() as forward:
        output = seq2seq_fast.attention_decoder(
            inputs, state if cells is None else (state, cells), keys, values, query_weight, v, *weights, cell=cell,
            query_bias=query_bias, lengths=lengths, backend="reference",
        )  # fmt: skip
    with EagerTrace() as backward:
        given = (output.states, output.contexts)
        torch.autograd.grad(given, leaves, [torch.empty_like(t) for t in given])
    return Traced([], forward.kernels, []), Traced([], backward.kernels, [])


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


def _both(call: Callable, forward: Callable, backward: Callable, given: tuple) -> tuple[Traced, Traced]:
    """Backward gets gradients of states and contexts, which a model reads, and gives all that can be asked for."""
    first, (states, contexts, weights, _, *saved) = call(forward, *given)
    grads = (torch.empty_like(states), torch.empty_like(contexts), None, None)
    second, _ = call(backward, *grads, *given, states, contexts, weights, *saved, (True,) * 12)
    return first, second


def _traced(launches: Any, trace: EagerTrace, tensors: object) -> Traced:
    return Traced(launches, trace.kernels, [t for t in tree_leaves(tensors) if isinstance(t, Tensor)])
