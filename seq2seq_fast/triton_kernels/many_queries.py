"""Attention of many queries a source: scores in tiles of queries by keys, then softmax and context row by row.

A tile holds every one of its sums in registers while it walks over the units, two units to a reciprocal; the operands
arrive through shared memory, ahead of use. A score costs as many such steps as there are attention units, so writing
it out and reading it again is next to free, and the products with the values are the vendor's. Queries are taken in
chunks of bounded size, so memory grows with Tq + Tx unless the weights themselves are asked for.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from seq2seq_fast.triton_kernels import launch
from seq2seq_fast.triton_kernels.arithmetic import (
    finite_or_zero_maximum,
    inverse_or_zero,
    natural_exponential,
    pair_terms,
    rounded_product,
    score_of_terms,
    split_row,
)
from seq2seq_fast.triton_kernels.kernel import in_eights, kernel
from seq2seq_fast.triton_kernels.key_exponentials import Queries, prepare_queries
from seq2seq_fast.triton_kernels.one_query import Source, attended_positions


@triton.jit
def units_first(tile, ROWS: tl.constexpr, UNITS: tl.constexpr):
    """[ROWS, UNITS] -> its even and its odd units, [UNITS / 2, ROWS] each."""
    return tl.split(tl.permute(tl.reshape(tile, (ROWS, UNITS // 2, 2)), (1, 0, 2)))


@triton.jit
def _score_block(
    query_rows, key_rows, v, query_there, key_there, A,
    BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_A: tl.constexpr, STAGES: tl.constexpr, DIRECT: tl.constexpr,
):  # fmt: skip
    """Scores of a tile without their constant, and that constant, sum(v)."""
    terms = tl.zeros((BLOCK_Q, BLOCK_K), tl.float32)
    constant = tl.zeros((BLOCK_A,), tl.float32)
    for start in tl.range(0, A, BLOCK_A, num_stages=STAGES):
        units = start + tl.arange(0, BLOCK_A)
        here = units < A
        query = tl.load(query_rows + units[None, :], mask=query_there[:, None] & here[None, :], other=0.0)
        key = tl.load(key_rows + units[None, :], mask=key_there[:, None] & here[None, :], other=0.0)
        scale = tl.load(v + units, mask=here, other=0.0).to(tl.float32)
        constant += scale
        query_0, query_1 = units_first(query.to(tl.float32), BLOCK_Q, BLOCK_A)
        key_0, key_1 = units_first(key.to(tl.float32), BLOCK_K, BLOCK_A)
        v_0, v_1 = split_row(scale, BLOCK_A)
        pairs = pair_terms(
            query_0[:, :, None], query_1[:, :, None], key_0[:, None, :], key_1[:, None, :],
            v_0[:, None, None], v_1[:, None, None], DIRECT,
        )  # fmt: skip
        terms += tl.sum(pairs, axis=0)
    return score_of_terms(terms, DIRECT), tl.sum(constant, axis=0)


@kernel(rows="A", counts="Tq Tx first count query_tiles key_tiles", single="query_inside in_range scores")
def _score_tiles_kernel(
    query, keys, query_exponentials, exponentials, query_inside, in_range, v, scores,
    Tq, Tx, A, first, count, query_tiles, key_tiles,
    WIDE: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_A: tl.constexpr,
    WITH_CONSTANT: tl.constexpr,
):  # fmt: skip
    """Scores of queries ``first`` to ``first + count`` of each source, [B, count, Tx]; nothing is masked here."""
    A = in_eights(A, WIDE)
    program = tl.program_id(0).to(tl.int64)
    key_tile = program % key_tiles
    query_tile = (program // key_tiles) % query_tiles
    source = program // key_tiles // query_tiles
    i = query_tile * BLOCK_Q + tl.arange(0, BLOCK_Q)
    j = key_tile * BLOCK_K + tl.arange(0, BLOCK_K)
    query_place = (source * Tq + first + i)[:, None] * A
    key_place = (source * Tx + j)[:, None] * A
    direct = (tl.load(query_inside + source).to(tl.int32) & tl.load(in_range + source).to(tl.int32)) == 0
    if direct:
        block, constant = _score_block(
            query + query_place, keys + key_place, v, i < count, j < Tx, A, BLOCK_Q, BLOCK_K, 8, 1, True
        )
    else:
        block, constant = _score_block(
            query_exponentials + query_place, exponentials + key_place, v, i < count, j < Tx, A,
            BLOCK_Q, BLOCK_K, BLOCK_A, 3, False,
        )  # fmt: skip
    if WITH_CONSTANT:
        block += constant
    tl.store(
        scores + (source * count + i)[:, None] * Tx + j[None, :],
        block.to(scores.dtype.element_ty),
        mask=(i < count)[:, None] & (j < Tx)[None, :],
    )


@kernel(rows="Tx", counts="Tq first count", single="logsumexp lengths mask")
def _softmax_rows_kernel(
    scores, weights, probabilities, logsumexp, lengths, mask, Tq, Tx, first, count,
    WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Softmax of one row of scores [B, count, Tx].

    Written to ``weights`` [B, Tq, Tx] and to ``probabilities`` [B, count, Tx] where they are given (the latter in its
    own dtype, for the product with the values); the row's maximum and sum are kept online, tile by tile.
    """
    Tx = in_eights(Tx, WIDE)
    row = tl.program_id(0).to(tl.int64)
    source = row // count
    whole_row = source * Tq + first + row % count
    highest = tl.full((BLOCK,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, Tx, BLOCK):
        position = start + tl.arange(0, BLOCK)
        _, attended = attended_positions(position, source, lengths, mask, Tx)
        score = tl.load(scores + row * Tx + position, mask=attended, other=float("-inf"))
        higher = tl.maximum(highest, score)
        shift = finite_or_zero_maximum(higher)
        total = total * natural_exponential(highest - shift) + natural_exponential(score - shift)
        highest = higher
    shift = finite_or_zero_maximum(tl.max(highest, axis=0))
    denominator = tl.sum(rounded_product(total, natural_exponential(highest - shift)), axis=0)
    inverse = inverse_or_zero(denominator)
    tl.store(logsumexp + whole_row, shift + tl.log(denominator))
    for start in range(0, Tx, BLOCK):
        position = start + tl.arange(0, BLOCK)
        _, attended = attended_positions(position, source, lengths, mask, Tx)
        score = tl.load(scores + row * Tx + position, mask=attended, other=float("-inf"))
        weight = natural_exponential(score - shift) * inverse
        if weights is not None:
            tl.store(weights + whole_row * Tx + position, weight, mask=position < Tx)
        if probabilities is not None:
            place = probabilities + row * Tx + position
            tl.store(place, weight.to(probabilities.dtype.element_ty), mask=position < Tx)


def score_tiles(queries: Queries, source: Source, scores: Tensor, first: int, with_constant: bool) -> None:
    """Scores of ``scores.shape[1]`` queries of each source from the ``first`` on, into ``scores`` [B, count, Tx]."""
    batch, count, positions = scores.shape
    total, units = queries.raw.shape[1:]
    parameters = launch.score_tiles(batch, count, positions, units, launch.processors(scores))
    query_tiles = launch.ceil_div(count, parameters["BLOCK_Q"])
    key_tiles = launch.ceil_div(positions, parameters["BLOCK_K"])
    _score_tiles_kernel.start(
        batch * query_tiles * key_tiles, queries.raw, source.keys, queries.exponentials, source.exponentials,
        queries.inside, source.in_range, source.v, scores, total, positions, units, first, count,
        query_tiles, key_tiles, WITH_CONSTANT=with_constant, **parameters,
    )  # fmt: skip


def attend_many_queries(query: Tensor, source: Source, need_weights: bool) -> tuple[Tensor, Tensor, Tensor]:
    """query [B, Tq, A] -> context [B, Tq, D], weights [B, Tq, Tx] ([0] unless needed), logsumexp [B, Tq]."""
    batch, queries, _ = query.shape
    positions, size = source.values.shape[1:]
    wide = source.values.dtype == torch.float32
    context = source.values.new_empty(batch, queries, size)
    weights = query.new_empty((batch, queries, positions) if need_weights else (0,), dtype=torch.float32)
    logsumexp = query.new_empty((batch, queries), dtype=torch.float32)
    prepared = prepare_queries(query)
    chunks = launch.query_chunks(batch, queries, positions)
    for first, count in chunks:
        scores = query.new_empty((batch, count, positions), dtype=torch.float32)
        score_tiles(prepared, source, scores, first, False)
        probabilities = scores if wide else torch.empty_like(scores, dtype=source.values.dtype)
        softmax_rows(scores, weights if need_weights else None, probabilities, logsumexp, source, first)
        if len(chunks) == 1:
            torch.bmm(probabilities, source.values, out=context)
        else:
            context[:, first : first + count] = torch.bmm(probabilities, source.values)
    return context, weights, logsumexp


def softmax_rows(
    scores: Tensor, weights: Tensor | None, probabilities: Tensor | None, logsumexp: Tensor, source: Source, first: int
) -> None:
    """Softmax of scores [B, count, Tx], which are queries ``first`` and on of ``weights`` and ``logsumexp``."""
    batch, count, positions = scores.shape
    _softmax_rows_kernel.start(
        batch * count, scores, weights, probabilities, logsumexp, source.lengths, source.mask,
        logsumexp.shape[1], positions, first, count, **launch.softmax_rows(positions),
    )  # fmt: skip
