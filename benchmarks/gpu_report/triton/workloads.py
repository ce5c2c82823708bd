"""Every pass of every operator by the Triton engine, traced on meta tensors at sizes of training."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from benchmarks.gpu_report import formulas
from benchmarks.gpu_report.eager import eager_kernels
from benchmarks.gpu_report.passes import Traced
from benchmarks.gpu_report.sizes import ATTENTION
from benchmarks.gpu_report.tensors import meta, source
from benchmarks.gpu_report.triton.cells import cells, decoder_cells
from benchmarks.gpu_report.triton.launches import our_kernels
from seq2seq_fast.triton_kernels import additive_attention, additive_score


def operators(dtypes: Sequence[torch.dtype]) -> list[Traced]:
    """All passes; each of the engine's kernels is in one of them."""
    return [
        one
        for dtype in dtypes
        for passes in (
            *(attention(name, dtype) for name in ATTENTION), scores(dtype), cells(dtype), decoder_cells(dtype)
        )
        for one in passes
    ]  # fmt: skip


def attention(name: str, dtype: torch.dtype) -> list[Traced]:
    """Forward, with weights, and backward of all gradients."""
    batch, queries, positions, units, size = ATTENTION[name]
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
    eager = eager_kernels(formulas.attention, [query, keys, values, v])
    triples = batch * queries * positions * units
    return [
        Traced(f"{name}, {passed}", dtype, triples, *ours, theirs)
        for passed, ours, theirs in zip(("forward", "backward"), (forward, backward), eager, strict=True)
    ]


def scores(dtype: torch.dtype) -> list[Traced]:
    """Scores without softmax and context, forward and backward, of one query a source and of many."""
    traced = []
    for name, (batch, queries, positions, units, _) in ATTENTION.items():
        query, v = meta(batch, queries, units, dtype=dtype), meta(units, dtype=dtype)
        keys, _, exponentials, in_range = source(batch, positions, units, units, dtype)
        of_source = (query, keys, exponentials, in_range, v)
        eager = eager_kernels(formulas.scores, [query, keys, v])
        gradient = meta(batch, queries, positions, dtype=dtype)
        forward = our_kernels(additive_score.additive_score_forward, *of_source)
        backward = our_kernels(additive_score.additive_score_backward, gradient, *of_source, (True,) * 3)
        triples = batch * queries * positions * units
        traced += [
            Traced(f"scores of {name}, {passed}", dtype, triples, *ours, theirs)
            for passed, ours, theirs in zip(("forward", "backward"), (forward, backward), eager, strict=True)
        ]
    return traced
