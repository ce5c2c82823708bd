"""The raw operators of the scores alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton.language as tl
from torch import Tensor

from seq2seq_fast.triton_kernels import launch
from seq2seq_fast.triton_kernels.additive_attention import asked, contiguous
from seq2seq_fast.triton_kernels.kernel import in_eights, kernel
from seq2seq_fast.triton_kernels.key_exponentials import prepare_queries
from seq2seq_fast.triton_kernels.many_queries import score_tiles
from seq2seq_fast.triton_kernels.many_queries_backward import unit_gradients
from seq2seq_fast.triton_kernels.one_query import Source, score_tile
from seq2seq_fast.triton_kernels.one_query_backward import score_gradient


@kernel(rows="A", counts="Tq Tx tiles", single="in_range scores")
def _score_rows_kernel(
    query, keys, exponentials, in_range, v, scores, Tq, Tx, A, tiles,
    WIDE: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_A: tl.constexpr, STORED: tl.constexpr,
):  # fmt: skip
    """Scores of one query at a tile of positions."""
    A = in_eights(A, WIDE)
    program = tl.program_id(0).to(tl.int64)
    row = program // tiles
    source = row // Tq
    position = (program % tiles) * BLOCK_T + tl.arange(0, BLOCK_T)
    there = position < Tx
    places = (source * Tx + position)[:, None] * A
    block = score_tile(
        query + row * A, None, keys + places, exponentials + places, in_range + source, v, there, A,
        BLOCK_T, BLOCK_A, STORED,
    )  # fmt: skip
    constant = tl.zeros((BLOCK_A,), tl.float32)
    for start in range(0, A, BLOCK_A):
        units = start + tl.arange(0, BLOCK_A)
        constant += tl.load(v + units, mask=units < A, other=0.0).to(tl.float32)
    block += tl.sum(constant, axis=0)
    tl.store(scores + row * Tx + position, block.to(scores.dtype.element_ty), mask=there)


def additive_score_forward(query: Tensor, keys: Tensor, exponentials: Tensor, in_range: Tensor, v: Tensor) -> Tensor:
    """query [B, Tq, A] -> scores [B, Tq, Tx]."""
    query, keys, exponentials, in_range, v = contiguous(query, keys, exponentials, in_range, v)
    batch, queries, units = query.shape
    positions = keys.shape[1]
    source = Source(keys, keys, exponentials, in_range, v, None, None)
    scores = query.new_empty(batch, queries, positions)
    if queries > launch.FEW_QUERIES:
        score_tiles(prepare_queries(query), source, scores, 0, True)
        return scores
    parameters = launch.one_query(batch * queries, positions, units, 8, keys.element_size(), launch.processors(keys))
    tiles = launch.ceil_div(positions, parameters["BLOCK_T"])
    _score_rows_kernel.start(
        batch * queries * tiles, query, keys, exponentials, in_range, v, scores, queries, positions, units, tiles,
        BLOCK_T=parameters["BLOCK_T"], BLOCK_A=parameters["BLOCK_A"], STORED=keys.dtype == torch.float32,
        num_warps=parameters["num_warps"],
    )  # fmt: skip
    return scores


def additive_score_backward(
    grad_scores: Tensor,
    query: Tensor,
    keys: Tensor,
    exponentials: Tensor,
    in_range: Tensor,
    v: Tensor,
    needs: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, keys and v."""
    grad_scores, query, keys, exponentials, in_range, v = contiguous(
        grad_scores, query, keys, exponentials, in_range, v
    )
    batch, queries, units = query.shape
    source = Source(keys, keys, exponentials, in_range, v, None, None)
    grad_query, grad_keys, grad_v = (
        torch.empty_like(t) if need else None for t, need in zip((query, keys, v), needs, strict=True)
    )
    if queries == 1:
        score_gradient(
            query.view(batch, units), source, grad_scores.view(batch, keys.shape[1]), None, grad_keys=grad_keys,
            grad_query=None if grad_query is None else grad_query.view(batch, units), grad_v=grad_v,
        )(0)  # fmt: skip
    else:
        prepared = prepare_queries(query)
        if grad_query is not None:
            unit_gradients(prepared, source, grad_scores, grad_query, of_keys=False)
        if needs[1] or needs[2]:
            sum_v = unit_gradients(prepared, source, grad_scores, grad_keys, of_keys=True, with_v=needs[2])
            if grad_v is not None and sum_v is not None:
                grad_v.copy_(sum_v)
    return asked((grad_query, grad_keys, grad_v), query)  # type: ignore[return-value]
