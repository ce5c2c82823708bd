"""Operators at sizes of training, traced on meta tensors: our launches and library calls, and eager's kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

import seq2seq_fast
from benchmarks.gpu_calls import decoder_calls, meta, source
from benchmarks.gpu_cuda import CudaLaunch
from benchmarks.gpu_eager import EagerKernel, EagerTrace
from benchmarks.gpu_launches import Launch, recorded
from benchmarks.gpu_traffic import moved, size_of, storage_of
from seq2seq_fast.triton_kernels import additive_attention, additive_score

SIZES = {"one query": (64, 1, 50, 512, 1024), "many queries": (8, 50, 50, 512, 1024)}


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


@dataclass(frozen=True)
class Traced:
    """One pass of an operator: what we launch, the operator's own tensors, and what eager launches.

    `seconds` is the bound of a launch that says its own.
    """

    name: str
    dtype: torch.dtype
    units: int
    launches: Sequence[Launch | CudaLaunch]
    library: list[EagerKernel]
    tensors: list[Tensor]
    eager: list[EagerKernel]
    engine: str = "triton"
    seconds: float | None = None

    @property
    def least_bytes(self) -> int:
        """The operator's tensors, each once: what is read or written of them."""
        asked: dict[int, float] = {}
        for launch in self.launches:
            for name, amount in moved(launch).items():
                storage = storage_of(launch.arguments[name])
                asked[storage] = asked.get(storage, 0) + amount
        sizes = {storage_of(t): size_of(t) for t in self.tensors}
        return sum(min(size, round(asked.get(storage, 0))) for storage, size in sizes.items())


def our_kernels(function: Callable, *arguments: object) -> tuple[list[Launch], list[EagerKernel], list[Tensor]]:
    with recorded() as launches, EagerTrace() as trace:
        results = function(*arguments)
    return launches, trace.kernels, [t for t in tree_leaves((arguments, results)) if isinstance(t, Tensor)]


def eager_kernels(function: Callable[..., Sequence[Tensor | None]], inputs: Sequence[Tensor]) -> tuple[list, list]:
    """Kernels of forward and of backward."""
    leaves = [t.detach().requires_grad_() for t in inputs]
    with EagerTrace() as forward:
        outputs = [o for o in function(*leaves) if o is not None and o.requires_grad]
    cotangents = [torch.empty_like(o) for o in outputs]
    with EagerTrace() as backward:
        torch.autograd.grad(outputs, leaves, cotangents)
    return forward.kernels, backward.kernels


def _formula(query: Tensor, keys: Tensor, values: Tensor, v: Tensor) -> list[Tensor]:
    """Attention as it is written in eager PyTorch: add, tanh, product with v, softmax, weighted sum."""
    scores = torch.tanh(query.unsqueeze(2) + keys.unsqueeze(1)) @ v
    weights = torch.softmax(scores, -1)
    return [torch.bmm(weights, values), weights]


def attention(name: str, dtype: torch.dtype) -> list[Traced]:
    """Forward, with weights, and backward of all gradients."""
    batch, queries, positions, units, size = SIZES[name]
    query, v = meta(batch, queries, units, dtype=dtype), meta(units, dtype=dtype)
    keys, values, exponentials, in_range = source(batch, positions, units, size, dtype)
    of_source = (keys, values, exponentials, in_range, v, meta(batch, dtype=torch.int64), None)
    context, weights = meta(batch, queries, size, dtype=dtype), meta(batch, queries, positions)
    forward = our_kernels(additive_attention.attend_forward, query, *of_source, True)
    backward = our_kernels(
        additive_attention.attend_backward,
        *(meta(batch, queries, size, dtype=dtype), None, query, *of_source, context, weights, meta(batch, queries)),
        (True,) * 4,
    )
    eager = eager_kernels(_formula, [query, keys, values, v])
    triples = batch * queries * positions * units
    return [
        Traced(f"{name}, {passed}", dtype, triples, *ours, theirs)
        for passed, ours, theirs in zip(("forward", "backward"), (forward, backward), eager, strict=True)
    ]


def scores(dtype: torch.dtype) -> list[Traced]:
    """Scores without softmax and context, forward and backward, of one query a source and of many."""
    traced = []
    for name, (batch, queries, positions, units, _) in SIZES.items():
        query, v = meta(batch, queries, units, dtype=dtype), meta(units, dtype=dtype)
        keys, _, exponentials, in_range = source(batch, positions, units, units, dtype)
        of_source = (query, keys, exponentials, in_range, v)
        eager = eager_kernels(lambda query, keys, v: [torch.tanh(query.unsqueeze(2) + keys.unsqueeze(1)) @ v],
                              [query, keys, v])  # fmt: skip
        gradient = meta(batch, queries, positions, dtype=dtype)
        forward = our_kernels(additive_score.additive_score_forward, *of_source)
        backward = our_kernels(additive_score.additive_score_backward, gradient, *of_source, (True,) * 3)
        triples = batch * queries * positions * units
        traced += [
            Traced(f"scores of {name}, {passed}", dtype, triples, *ours, theirs)
            for passed, ours, theirs in zip(("forward", "backward"), (forward, backward), eager, strict=True)
        ]
    return traced


def decoder_step_launches(cell: str, dtype: torch.dtype) -> tuple[int, int]:
    """Kernels that one more target position adds to a decoder's forward: ours and eager's."""
    batch, positions, embedding, hidden, units, size = 64, 50, 512, 512, 512, 1024
    rows = {"rnn": 1, "gru": 3, "lstm": 4}[cell] * hidden
    counts = []
    for target in (2, 3):
        forward, *_ = decoder_calls(
            cell, True, batch, positions, embedding, hidden, units, size, dtype, target=target, options=False
        )
        with recorded() as launches, EagerTrace() as library, torch.no_grad():
            forward()
        with EagerTrace() as eager, torch.no_grad():
            state = meta(batch, hidden, dtype=dtype)
            seq2seq_fast.attention_decoder(
                meta(batch, target, embedding, dtype=dtype), (state, state) if cell == "lstm" else state,
                meta(batch, positions, units, dtype=dtype), meta(batch, positions, size, dtype=dtype),
                meta(units, hidden, dtype=dtype), meta(units, dtype=dtype),
                meta(rows, embedding + size, dtype=dtype), meta(rows, hidden, dtype=dtype), cell=cell,
                backend="reference",
            )  # fmt: skip
        counts.append((len(launches) + len(library.kernels), len(eager.kernels)))
    return counts[1][0] - counts[0][0], counts[1][1] - counts[0][1]
