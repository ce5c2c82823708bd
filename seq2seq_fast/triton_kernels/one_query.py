"""Attention of one query a source (a decoder's step): score, mask, softmax and context in one pass.

A program takes a tile of source positions of one query. It reads each key and each value once, in wide loads of
neighbouring columns, and starts the next loads before it needs them. Where a source has more tiles than one, each
leaves its maximum, its sum and its unnormalised context, and a second kernel combines them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.library import wrap_triton

from seq2seq_fast.triton_kernels import launch
from seq2seq_fast.triton_kernels.arithmetic import (
    finite_or_zero_maximum,
    inverse_or_zero,
    key_exponential,
    natural_exponential,
    pair_terms,
    query_exponential,
    score_of_terms,
    split_pairs,
    split_row,
    within_query_limit,
)


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
    query_row, key_rows, v, visited, A,
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
    query_row, key_rows, exponential_rows, in_range, v, visited, A,
    BLOCK_T: tl.constexpr, BLOCK_A: tl.constexpr, STORED: tl.constexpr,
):  # fmt: skip
    """Scores of a tile of positions without their constant.

    The exponential form runs before it is known to serve: looking at the query first would only delay the loads.
    """
    if STORED:
        scores, inside = _walk_units(query_row, exponential_rows, v, visited, A, BLOCK_T, BLOCK_A, True, False)
    else:
        scores, inside = _walk_units(query_row, key_rows, v, visited, A, BLOCK_T, BLOCK_A, False, False)
    if (inside & tl.load(in_range).to(tl.int32)) == 0:
        scores, inside = _walk_units(query_row, key_rows, v, visited, A, BLOCK_T, BLOCK_A, False, True)
    return scores


@triton.jit
def _attend_tile_kernel(
    query, query_stride, keys, values, exponentials, in_range, v, lengths, mask,
    context, weights, logsumexp, maxima, sums,
    Tq, Tx, A, D, tiles,
    BLOCK_T: tl.constexpr, BLOCK_A: tl.constexpr, BLOCK_D: tl.constexpr,
    STORED: tl.constexpr, ALONE: tl.constexpr,
):  # fmt: skip
    """One tile of positions of one query. ``ALONE``: the tile is the whole source, so results are final.

    Otherwise ``context`` [rows, tiles, D], ``maxima`` and ``sums`` [rows, tiles] are partial, ``weights`` raw scores.
    """
    program = tl.program_id(0).to(tl.int64)
    row = program // tiles
    source = row // Tq
    position = (program % tiles) * BLOCK_T + tl.arange(0, BLOCK_T)
    visited, attended = attended_positions(position, source, lengths, mask, Tx)
    place = (source * Tx + position)[:, None]
    column = tl.arange(0, BLOCK_D)
    ahead = tl.load(values + place * D + column[None, :], mask=visited[:, None] & (column < D)[None, :], other=0.0)

    scores = score_tile(
        query + row * query_stride, keys + place * A, exponentials + place * A, in_range + source, v, visited, A,
        BLOCK_T, BLOCK_A, STORED,
    )  # fmt: skip
    scores = tl.where(attended, scores, float("-inf"))
    maximum = tl.max(scores, axis=0)
    exponential = natural_exponential(scores - finite_or_zero_maximum(maximum))
    total = tl.sum(exponential, axis=0)
    if ALONE:
        exponential *= inverse_or_zero(total)
        tl.store(logsumexp + row, finite_or_zero_maximum(maximum) + tl.log(total))
        if weights is not None:
            tl.store(weights + row * Tx + position, exponential, mask=position < Tx)
    else:
        tl.store(maxima + program, maximum)
        tl.store(sums + program, total)
        if weights is not None:
            tl.store(weights + row * Tx + position, scores, mask=position < Tx)

    for start in range(0, D, BLOCK_D):
        tile = ahead.to(tl.float32)
        following = start + BLOCK_D + column
        ahead = tl.load(
            values + place * D + following[None, :], mask=visited[:, None] & (following < D)[None, :], other=0.0
        )
        summed = tl.sum(tile * exponential[:, None], axis=0)
        place_out = context + program * D + start + column
        tl.store(place_out, summed.to(context.dtype.element_ty), mask=start + column < D)


@triton.jit
def combined_softmax(maxima, sums, row, tiles, BLOCK_S: tl.constexpr):
    """The maximum and the sum of a row's tiles together."""
    entry = tl.arange(0, BLOCK_S)
    highest = tl.full((BLOCK_S,), float("-inf"), tl.float32)
    for start in range(0, tiles, BLOCK_S):
        here = start + entry < tiles
        part = tl.load(maxima + row * tiles + start + entry, mask=here, other=float("-inf"))
        highest = tl.maximum(highest, part)
    maximum = tl.max(highest, axis=0)
    shift = finite_or_zero_maximum(maximum)
    total = tl.zeros((BLOCK_S,), tl.float32)
    for start in range(0, tiles, BLOCK_S):
        here = start + entry < tiles
        part = tl.load(maxima + row * tiles + start + entry, mask=here, other=float("-inf"))
        part_sum = tl.load(sums + row * tiles + start + entry, mask=here, other=0.0)
        total += part_sum * natural_exponential(part - shift)
    return shift, tl.sum(total, axis=0)


@triton.jit
def combined_context(partial, maxima, row, column, tiles, shift, inverse, D):
    """Columns of a row's context, from the unnormalised contexts of its tiles."""
    summed = tl.zeros(column.shape, tl.float32)
    for tile in range(0, tiles):
        scale = natural_exponential(tl.load(maxima + row * tiles + tile) - shift) * inverse
        part = tl.load(partial + (row * tiles + tile) * D + column, mask=column < D, other=0.0)
        summed = tl.fma(part, scale, summed)
    return summed


@triton.jit
def _combine_kernel(
    partial, maxima, sums, context, weights, logsumexp, Tx, D, tiles, blocks,
    BLOCK: tl.constexpr, BLOCK_S: tl.constexpr,
):  # fmt: skip
    """Columns of one row's context, and weights of as many positions."""
    program = tl.program_id(0).to(tl.int64)
    row = program // blocks
    block = program % blocks
    column = block * BLOCK + tl.arange(0, BLOCK)
    shift, total = combined_softmax(maxima, sums, row, tiles, BLOCK_S)
    inverse = inverse_or_zero(total)
    if block == 0:
        tl.store(logsumexp + row, shift + tl.log(total))
    if block * BLOCK < D:
        summed = combined_context(partial, maxima, row, column, tiles, shift, inverse, D)
        tl.store(context + row * D + column, summed.to(context.dtype.element_ty), mask=column < D)
    if weights is not None:
        place = weights + row * Tx + column
        scores = tl.load(place, mask=column < Tx, other=0.0)
        tl.store(place, natural_exponential(scores - shift) * inverse, mask=column < Tx)


class Tiles(NamedTuple):
    """What :func:`attend_tiles` leaves where a source has more tiles than one: float32, rows are queries.

    ``context`` [rows, tiles, D] is unnormalised, ``maxima`` and ``sums`` [rows, tiles].
    """

    context: Tensor
    maxima: Tensor
    sums: Tensor


class Source(NamedTuple):
    """What is attended to, as the raw operators name it."""

    keys: Tensor
    values: Tensor
    exponentials: Tensor
    in_range: Tensor
    v: Tensor
    lengths: Tensor | None
    mask: Tensor | None


def attend_tiles(
    query: Tensor, queries: int, source: Source, context: Tensor, weights: Tensor | None, logsumexp: Tensor
) -> Tiles | None:
    """Attention of every row of ``query`` [B Tq, A] (rows may be far apart) to its source.

    Results go to ``context`` [B Tq, D], ``weights`` [B Tq, Tx] and ``logsumexp`` [B Tq] if a source is one tile.
    Otherwise the tiles are returned, to be combined; ``weights`` then holds raw scores.
    """
    keys, values, exponentials, in_range, v, lengths, mask = source
    rows, units = query.shape
    positions, size = values.shape[1:]
    parameters = launch.one_query(rows, positions, units, size, values.element_size())
    tiles = max(1, launch.ceil_div(positions, parameters["BLOCK_T"]))
    parts = None
    if tiles > 1:
        parts = Tiles(
            *(query.new_empty(shape, dtype=torch.float32) for shape in ((rows, tiles, size), *[(rows, tiles)] * 2))
        )
    wrap_triton(_attend_tile_kernel)[(rows * tiles,)](
        query, query.stride(0), keys, values, exponentials, in_range, v, lengths, mask,
        context if parts is None else parts.context, weights, logsumexp,
        None if parts is None else parts.maxima, None if parts is None else parts.sums,
        queries, positions, units, size, tiles,
        STORED=keys.dtype == torch.float32, ALONE=parts is None, **parameters, **launch.fusion(),
    )  # fmt: skip
    return parts


def combine_tiles(tiles: Tiles, context: Tensor, weights: Tensor | None, logsumexp: Tensor, source: int) -> None:
    """Final contexts, weights (from the raw scores that they hold) and logarithms of the sums."""
    rows, count, size = tiles.context.shape
    parameters = launch.combine(source, size)
    blocks = max(1, launch.ceil_div(max(size, source if weights is not None else 0), parameters["BLOCK"]))
    wrap_triton(_combine_kernel)[(rows * blocks,)](
        tiles.context, tiles.maxima, tiles.sums, context, weights, logsumexp, source, size, count, blocks,
        **parameters, **launch.fusion(),
    )  # fmt: skip


def attend_one_query(query: Tensor, source: Source, need_weights: bool) -> tuple[Tensor, Tensor, Tensor]:
    """query [B, Tq, A] -> context [B, Tq, D], weights [B, Tq, Tx] ([0] unless needed), logsumexp [B, Tq]."""
    batch, queries, units = query.shape
    positions, size = source.values.shape[1:]
    rows = batch * queries
    context = source.values.new_empty(rows, size)
    weights = query.new_empty((rows, positions), dtype=torch.float32) if need_weights else None
    logsumexp = query.new_empty(rows, dtype=torch.float32)
    parts = attend_tiles(query.reshape(rows, units), queries, source, context, weights, logsumexp)
    if parts is not None:
        combine_tiles(parts, context, weights, logsumexp, positions)
    return (
        context.view(batch, queries, size),
        query.new_empty(0, dtype=torch.float32) if weights is None else weights.view(batch, queries, positions),
        logsumexp.view(batch, queries),
    )
