"""Attention of one query a source (a decoder's step): score, mask, softmax and context in one pass.

A program takes a tile of source positions of one query. It reads each key and each value once, in wide loads of
neighbouring columns, and starts the next loads before it needs them. Where a source has more tiles than one, each
leaves its maximum, its sum and its unnormalised context, and a second kernel combines them.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from seq2seq_fast.raw.attention import Source
from seq2seq_fast.triton_kernels import launch
from seq2seq_fast.triton_kernels.arithmetic import (
    finite_or_zero_maximum,
    inverse_or_zero,
    key_exponential,
    natural_exponential,
    pair_terms,
    query_exponential,
    rounded_product,
    score_of_terms,
    split_pairs,
    split_row,
    within_query_limit,
)
from seq2seq_fast.triton_kernels.combine import Tiles, combine_tiles, empty_tiles
from seq2seq_fast.triton_kernels.kernel import Laid, Launch, at_row, in_eights, kernel


@triton.jit
def attended_positions(position, row, lengths, mask, Tx):
    """Which positions of source ``row`` are visited, and which of those are attended."""
    visited = position < Tx
    if lengths is not None:
        visited = visited & (position < tl.load(lengths + row))
    attended = visited
    if mask is not None:
        attended = visited & (tl.load(mask + row * Tx + position, mask=visited, other=0) != 0)
    return visited, attended


@triton.jit
def _walk_units(
    query_row, query_bias, key_rows, v, visited, A,
    BLOCK_T: tl.constexpr, BLOCK_A: tl.constexpr, STORED: tl.constexpr, DIRECT: tl.constexpr,
):  # fmt: skip
    """Scores of a tile of positions without their constant sum(v), and 1 if the query is in range.

    ``key_rows`` [BLOCK_T, 1] point at rows of keys, or of their exponentials where those are ``STORED``.
    """
    column = tl.arange(0, BLOCK_A)
    terms = tl.zeros((BLOCK_T, BLOCK_A // 2), tl.float32)
    inside = tl.full((BLOCK_A,), 1, tl.int32)
    ahead = tl.load(key_rows + column[None, :], mask=visited[:, None] & (column < A)[None, :], other=0.0)
    for start in range(0, A, BLOCK_A):
        tile = ahead
        following = start + BLOCK_A + column
        ahead = tl.load(key_rows + following[None, :], mask=visited[:, None] & (following < A)[None, :], other=0.0)
        units = start + column
        query = tl.load(query_row + units, mask=units < A, other=0.0).to(tl.float32)
        if query_bias is not None:
            query += tl.load(query_bias + units, mask=units < A, other=0.0).to(tl.float32)
        v_0, v_1 = split_row(tl.load(v + units, mask=units < A, other=0.0).to(tl.float32), BLOCK_A)
        if DIRECT:
            tile = tile.to(tl.float32)
        else:
            inside = inside & within_query_limit(query)
            query = query_exponential(query)
            tile = key_exponential(tile, STORED)
        query_0, query_1 = split_row(query, BLOCK_A)
        key_0, key_1 = split_pairs(tile, BLOCK_T, BLOCK_A)
        terms += pair_terms(query_0[None, :], query_1[None, :], key_0, key_1, v_0[None, :], v_1[None, :], DIRECT)
    return score_of_terms(tl.sum(terms, axis=1), DIRECT), tl.min(inside, axis=0)


@triton.jit
def score_tile(
    query_row, query_bias, key_rows, exponential_rows, in_range, v, visited, A,
    BLOCK_T: tl.constexpr, BLOCK_A: tl.constexpr, STORED: tl.constexpr,
):  # fmt: skip
    """Scores of a tile of positions without their constant.

    The exponential form runs before it is known to serve: looking at the query first would only delay the loads.
    """
    if STORED:
        scores, inside = _walk_units(
            query_row, query_bias, exponential_rows, v, visited, A, BLOCK_T, BLOCK_A, True, False
        )
    else:
        scores, inside = _walk_units(query_row, query_bias, key_rows, v, visited, A, BLOCK_T, BLOCK_A, False, False)
    if (inside & tl.load(in_range).to(tl.int32)) == 0:
        scores, inside = _walk_units(query_row, query_bias, key_rows, v, visited, A, BLOCK_T, BLOCK_A, False, True)
    return scores


@triton.jit
def _load_values(rows, column, visited, D):
    return tl.load(rows + column[None, :], mask=visited[:, None] & (column < D)[None, :], other=0.0)


@triton.jit
def _weigh_values(ahead, rows, weight, visited, context, D, BLOCK_D: tl.constexpr):
    """Weighted sum of a tile's values, [D] at ``context``; ``ahead`` are their first columns, loaded before."""
    column = tl.arange(0, BLOCK_D)
    for start in range(0, D, BLOCK_D):
        tile = ahead.to(tl.float32)
        ahead = _load_values(rows, start + BLOCK_D + column, visited, D)
        summed = tl.sum(rounded_product(tile, weight[:, None]), axis=0)
        tl.store(context + start + column, summed.to(context.dtype.element_ty), mask=start + column < D)


@kernel(rows="query_stride A D P", counts="Tq Tx tiles", single="in_range lengths mask weights logsumexp maxima sums")
def _attend_tile_kernel(
    query, query_stride, query_bias, keys, values, projected, exponentials, in_range, v, lengths, mask,
    context, projected_context, weights, logsumexp, maxima, sums,
    Tq, Tx, A, D, P, tiles,
    WIDE: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_A: tl.constexpr, BLOCK_D: tl.constexpr,
    STORED: tl.constexpr, ALONE: tl.constexpr,
):  # fmt: skip
    """One tile of positions of one query. ``ALONE``: the tile is the whole source, so results are final.

    Otherwise ``context`` [rows, tiles, D], ``projected_context`` [rows, tiles, P], ``maxima`` and ``sums``
    [rows, tiles] are partial, and ``weights`` raw scores.
    """
    A, D, P = in_eights(A, WIDE), in_eights(D, WIDE), in_eights(P, WIDE)
    program = tl.program_id(0).to(tl.int64)
    row = program // tiles
    source = row // Tq
    position = (program % tiles) * BLOCK_T + tl.arange(0, BLOCK_T)
    visited, attended = attended_positions(position, source, lengths, mask, Tx)
    place = (source * Tx + position)[:, None]
    column = tl.arange(0, BLOCK_D)
    ahead = _load_values(values + place * D, column, visited, D)
    walked = A
    if lengths is not None:
        # A tile wholly in padding walks over no units.
        walked = tl.where((program % tiles) * BLOCK_T < tl.load(lengths + source), A, 0)
    scores = score_tile(
        query + at_row(row, query_stride, WIDE), query_bias, keys + place * A, exponentials + place * A,
        in_range + source, v, visited, walked, BLOCK_T, BLOCK_A, STORED,
    )  # fmt: skip
    scores = tl.where(attended, scores, float("-inf"))
    maximum = tl.max(scores, axis=0)
    shift = finite_or_zero_maximum(maximum)
    weight = natural_exponential(scores - shift)
    total = tl.sum(weight, axis=0)
    if ALONE:
        weight *= inverse_or_zero(total)
        if logsumexp is not None:
            tl.store(logsumexp + row, shift + tl.log(total))
    else:
        tl.store(maxima + program, maximum)
        tl.store(sums + program, total)
    if weights is not None:
        tl.store(weights + row * Tx + position, weight if ALONE else scores, mask=position < Tx)
    _weigh_values(ahead, values + place * D, weight, visited, context + program * D, D, BLOCK_D)
    if projected is not None:
        ahead = _load_values(projected + place * P, column, visited, P)
        _weigh_values(ahead, projected + place * P, weight, visited, projected_context + program * P, P, BLOCK_D)


def plan_tiles(rows: int, source: Source, projected: Tensor | None = None) -> tuple[dict[str, int], Tiles | None]:
    """Launch parameters for so many queries, and room for what tiles leave if a source has more than one."""
    positions, size = source.values.shape[1:]
    width = 0 if projected is None else projected.shape[2]
    keys = source.keys
    parameters = launch.one_query(
        rows, positions, keys.shape[2], max(size, width), keys.element_size(), launch.processors(keys)
    )
    count = launch.tile_count(positions, parameters["BLOCK_T"])
    return parameters, empty_tiles(source.values, rows, count, size, width) if count > 1 else None


def attend_tiles(
    query: Laid,
    queries: int,
    source: Source,
    plan: tuple[dict[str, int], Tiles | None],
    context: Laid | None,
    weights: Laid | None,
    logsumexp: Tensor | None,
    *,
    query_bias: Tensor | None = None,
    projected: Tensor | None = None,
    projected_context: Tensor | None = None,
) -> Launch:
    """Launches of the attention of every row of ``query`` [B Tq, A] (rows may be far apart) to its source.

    Results go to ``context`` [B Tq, D], ``weights`` [B Tq, Tx] and ``logsumexp`` [B Tq] if a source is one tile. If
    not, the plan's tiles hold what is to be combined, and ``weights`` raw scores. A second set of values, ``projected``
    [B, Tx, P], is weighed alike.
    """
    parameters, tiles = plan
    rows, units = query.shape
    positions, size = source.values.shape[1:]
    count = 1
    maxima = sums = None
    if tiles is not None:
        context, projected_context, maxima, sums = tiles
        count = maxima.shape[1]
    return _attend_tile_kernel.launch(
        rows * count, query, query.stride(0), query_bias, source.keys, source.values, projected, *source[2:], context,
        projected_context, weights, logsumexp, maxima, sums,
        queries, positions, units, size, 0 if projected is None else projected.shape[2], count,
        STORED=source.keys.dtype == torch.float32, ALONE=tiles is None, **parameters,
        **launch.attend_registers(source.keys.element_size(), parameters["BLOCK_T"], projected is not None),
    )  # fmt: skip


def attend_one_query(query: Tensor, source: Source, need_weights: bool) -> tuple[Tensor, Tensor, Tensor]:
    """query [B, Tq, A] -> context [B, Tq, D], weights [B, Tq, Tx] ([0] unless needed), logsumexp [B, Tq]."""
    batch, queries, units = query.shape
    positions, size = source.values.shape[1:]
    rows = batch * queries
    context = source.values.new_empty(batch, queries, size)
    weights = query.new_empty((batch, queries, positions), dtype=torch.float32) if need_weights else None
    logsumexp = query.new_empty((batch, queries), dtype=torch.float32)
    plan = plan_tiles(rows, source)
    attend_tiles(query.view(rows, units), queries, source, plan, context, weights, logsumexp)()
    if plan[1] is not None:
        combine_tiles(plan[1], context, weights, logsumexp, positions)()
    return context, query.new_empty(0, dtype=torch.float32) if weights is None else weights, logsumexp
