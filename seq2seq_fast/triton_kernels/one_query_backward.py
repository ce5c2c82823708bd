"""Gradients of attention with one query a source, in two kernels.

The first reads the values: the weights' gradient ``p_j = dc . x_j + dw_j``, the part of ``delta = sum_j w_j p_j`` that
its tile holds, and the values' gradient. The second reads the keys: ``ds_j = w_j (p_j - delta)``, and for every unit
``dk_j = 4 v ds_j r (1 - r)``, ``dq = sum_j dk_j``, ``dv = sum_j ds_j (1 - 2 r)``; units do not meet in it, so its
programs share out units rather than positions and a query's gradient has one writer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from seq2seq_fast.triton_kernels import launch
from seq2seq_fast.triton_kernels.arithmetic import (
    join_pairs,
    join_row,
    key_exponential,
    pair_ratios,
    quarter_slope,
    query_exponential,
    rounded_product,
    split_pairs,
    split_row,
    within_query_limit,
)
from seq2seq_fast.triton_kernels.kernel import Laid, Launch, at, at_row, in_eights, kernel
from seq2seq_fast.triton_kernels.one_query import Source, attended_positions


@kernel(rows="D", counts="grad_weights_stride Tx tiles", single="grad_weights weights lengths mask slopes deltas")
def _weights_gradient_kernel(
    grad_context, grad_weights, grad_weights_stride, values, weights, lengths, mask, slopes, deltas, grad_values,
    Tx, D, tiles, WIDE: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    D = in_eights(D, WIDE)
    program = tl.program_id(0).to(tl.int64)
    row = program // tiles
    position = (program % tiles) * BLOCK_T + tl.arange(0, BLOCK_T)
    visited, attended = attended_positions(position, row, lengths, mask, Tx)
    column = tl.arange(0, BLOCK_D)
    place = (row * Tx + position)[:, None] * D + column[None, :]
    weight = tl.load(weights + row * Tx + position, mask=visited, other=0.0)
    products = tl.zeros((BLOCK_T, BLOCK_D), tl.float32)
    walked = D
    if lengths is not None and grad_values is None:
        # A tile wholly in padding has nothing to read, and here nothing to write.
        walked = tl.where((program % tiles) * BLOCK_T < tl.load(lengths + row), D, 0)
    ahead = tl.load(values + place, mask=visited[:, None] & (column < D)[None, :], other=0.0)
    for start in range(0, walked, BLOCK_D):
        tile = ahead.to(tl.float32)
        following = start + BLOCK_D + column
        ahead = tl.load(values + start + BLOCK_D + place, mask=visited[:, None] & (following < D)[None, :], other=0.0)
        here = start + column
        slope = tl.load(grad_context + row * D + here, mask=here < D, other=0.0).to(tl.float32)
        products = tl.fma(tile, tl.broadcast_to(slope[None, :], (BLOCK_T, BLOCK_D)), products)
        if grad_values is not None:
            tl.store(
                grad_values + start + place,
                (weight[:, None] * slope[None, :]).to(grad_values.dtype.element_ty),
                mask=(position < Tx)[:, None] & (here < D)[None, :],
            )
    gradient = tl.sum(products, axis=1)
    if grad_weights is not None:
        gradient += tl.load(grad_weights + row * grad_weights_stride + position, mask=visited, other=0.0).to(tl.float32)
    gradient = tl.where(attended, gradient, 0.0)
    tl.store(slopes + row * Tx + position, gradient, mask=position < Tx)
    tl.store(deltas + program, tl.sum(rounded_product(gradient, weight), axis=0))


@triton.jit
def _gradient_of_positions(
    query_0, query_1, v_0, v_1, key_rows, grad_key_rows, columns, A, visited, written, score_slope,
    dq_0, dq_1, dv_0, dv_1,
    BLOCK_T: tl.constexpr, BLOCK_A: tl.constexpr, STORED: tl.constexpr, DIRECT: tl.constexpr,
):  # fmt: skip
    """Add a tile of positions to the sums of ``ds r (1 - r)`` and ``ds (1 - 2 r)``; write its keys' gradient."""
    tile = tl.load(key_rows + columns[None, :], mask=visited[:, None] & (columns < A)[None, :], other=0.0)
    tile = tile.to(tl.float32) if DIRECT else key_exponential(tile, STORED)
    key_0, key_1 = split_pairs(tile, BLOCK_T, BLOCK_A)
    ratio_0, ratio_1 = pair_ratios(query_0[None, :], query_1[None, :], key_0, key_1, DIRECT)
    slope = score_slope[:, None]
    slope_0, slope_1 = slope * quarter_slope(ratio_0), slope * quarter_slope(ratio_1)
    if grad_key_rows is not None:
        gradient = join_pairs(slope_0 * (4.0 * v_0)[None, :], slope_1 * (4.0 * v_1)[None, :], BLOCK_T, BLOCK_A)
        tl.store(
            grad_key_rows + columns[None, :],
            gradient.to(grad_key_rows.dtype.element_ty),
            mask=written[:, None] & (columns < A)[None, :],
        )
    dv_0 = tl.fma(slope, tl.fma(ratio_0, -2.0, 1.0), dv_0)
    dv_1 = tl.fma(slope, tl.fma(ratio_1, -2.0, 1.0), dv_1)
    return dq_0 + slope_0, dq_1 + slope_1, dv_0, dv_1


@kernel(
    rows="query_stride grad_query_stride A", counts="Tx tiles chunks splits share rows",
    single="in_range lengths slopes weights deltas score_slopes",
)  # fmt: skip
def _score_gradient_kernel(
    query, query_stride, keys, exponentials, in_range, v, lengths, slopes, weights, deltas,
    score_slopes, grad_query, grad_query_stride, grad_keys, grad_v,
    Tx, A, tiles, chunks, splits, share, rows,
    WIDE: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_A: tl.constexpr, BLOCK_S: tl.constexpr, STORED: tl.constexpr,
):  # fmt: skip
    """Units ``chunk`` of one query, over ``share`` of its source's positions.

    Without ``weights``, ``slopes`` are the scores' gradients themselves. ``grad_query`` and ``grad_v`` are
    [splits, rows, A]; positions that are not visited get zeros in ``grad_keys``.
    """
    A = in_eights(A, WIDE)
    program = tl.program_id(0).to(tl.int64)
    chunk = program % chunks
    split = (program // chunks) % splits
    row = program // chunks // splits
    columns = chunk * BLOCK_A + tl.arange(0, BLOCK_A)
    raw = tl.load(query + at_row(row, query_stride, WIDE) + columns, mask=columns < A, other=0.0).to(tl.float32)
    v_0, v_1 = split_row(tl.load(v + columns, mask=columns < A, other=0.0).to(tl.float32), BLOCK_A)
    delta = 0.0
    if weights is not None:
        parts = tl.zeros((BLOCK_S,), tl.float32)
        for start in range(0, tiles, BLOCK_S):
            entry = start + tl.arange(0, BLOCK_S)
            parts += tl.load(deltas + row * tiles + entry, mask=entry < tiles, other=0.0)
        delta = tl.sum(parts, axis=0)
    length = tl.full((), Tx, tl.int64)
    if lengths is not None:
        length = tl.minimum(tl.maximum(tl.load(lengths + row), 0), length)
    first = split * share
    last = tl.minimum(first + share, Tx if grad_keys is not None else length)
    direct = (tl.min(within_query_limit(raw), axis=0) & tl.load(in_range + row).to(tl.int32)) == 0
    raw_0, raw_1 = split_row(raw, BLOCK_A)
    query_0, query_1 = split_row(query_exponential(raw), BLOCK_A)

    dq_0 = tl.zeros((BLOCK_T, BLOCK_A // 2), tl.float32)
    dq_1 = tl.zeros((BLOCK_T, BLOCK_A // 2), tl.float32)
    dv_0 = tl.zeros((BLOCK_T, BLOCK_A // 2), tl.float32)
    dv_1 = tl.zeros((BLOCK_T, BLOCK_A // 2), tl.float32)
    for start in range(first, last, BLOCK_T):
        position = start + tl.arange(0, BLOCK_T)
        visited = position < length
        written = position < last
        place = row * Tx + position
        slope = tl.load(slopes + place, mask=visited, other=0.0).to(tl.float32)
        if weights is not None:
            slope = tl.load(weights + place, mask=visited, other=0.0) * (slope - delta)
            if score_slopes is not None:
                tl.store(score_slopes + place, slope, mask=position < tl.where(chunk == 0, last, 0))
        key_places = place[:, None] * A
        grad_key_rows = None
        if grad_keys is not None:
            grad_key_rows = grad_keys + key_places
        if direct:
            dq_0, dq_1, dv_0, dv_1 = _gradient_of_positions(
                raw_0, raw_1, v_0, v_1, keys + key_places, grad_key_rows, columns, A, visited, written, slope,
                dq_0, dq_1, dv_0, dv_1, BLOCK_T, BLOCK_A, False, True,
            )  # fmt: skip
        else:
            dq_0, dq_1, dv_0, dv_1 = _gradient_of_positions(
                query_0, query_1, v_0, v_1, (exponentials if STORED else keys) + key_places, grad_key_rows, columns,
                A, visited, written, slope, dq_0, dq_1, dv_0, dv_1, BLOCK_T, BLOCK_A, STORED, False,
            )  # fmt: skip
    summed = split * rows + row
    if grad_query is not None:
        gradient = join_row(4.0 * v_0 * tl.sum(dq_0, axis=0), 4.0 * v_1 * tl.sum(dq_1, axis=0), BLOCK_A)
        tl.store(
            grad_query + at_row(summed, grad_query_stride, WIDE) + columns,
            gradient.to(grad_query.dtype.element_ty),
            mask=columns < A,
        )
    if grad_v is not None:
        gradient = join_row(tl.sum(dv_0, axis=0), tl.sum(dv_1, axis=0), BLOCK_A)
        tl.store(grad_v + summed * A + columns, gradient, mask=columns < A)


def weights_gradient(
    grad_context: Tensor, grad_weights: Laid | None, weights: Laid, source: Source, grad_values: Tensor | None
) -> tuple[Launch, Tensor, Tensor]:
    """Launches, and what they fill: the weights' gradients, and the parts of delta that a source's tiles hold.

    grad_context [B, D], grad_weights (rows may be far apart) and weights [B, Tx] -> [B, Tx], [B, tiles] in float32;
    fills grad_values.
    """
    values = source.values
    batch, positions, size = values.shape
    parameters = launch.weights_gradient(size)
    tiles = launch.tile_count(positions, parameters["BLOCK_T"])
    slopes = values.new_empty(batch, positions, dtype=torch.float32)
    deltas = slopes.new_empty(batch, tiles)
    launches = _weights_gradient_kernel.launch(
        batch * tiles, grad_context, grad_weights, 0 if grad_weights is None else grad_weights.stride(0),
        source.values, weights, source.lengths, source.mask, slopes, deltas, grad_values, positions, size, tiles,
        **parameters,
    )  # fmt: skip
    return launches, slopes, deltas


def score_gradient(
    query: Laid,
    source: Source,
    slopes: Tensor,
    softmax: tuple[Laid, Tensor] | None,
    *,
    score_slopes: Laid | None = None,
    grad_query: Laid | None = None,
    grad_keys: Tensor | None = None,
    grad_v: Tensor | None = None,
) -> Callable[[int], None]:
    """What writes, for a position, gradients of the query [B, A] (rows may be far apart), keys and v where given.

    ``slopes`` [B, Tx] are the weights' gradients where ``softmax`` (weights [B, Tx], deltas [B, tiles]) is given, and
    the scores' otherwise; ``score_slopes`` [B, Tx] gets the scores'.
    """
    batch, positions, units = source.keys.shape
    parameters, shares = launch.score_gradient(
        batch, positions, units, source.keys.element_size(), launch.processors(source.keys)
    )
    splits, share = shares
    weights, deltas = (None, None) if softmax is None else softmax
    parts: Laid | None = grad_query
    if grad_query is not None and splits > 1:
        parts = source.keys.new_empty(splits, batch, units, dtype=torch.float32)
    parts_v = None if grad_v is None else source.keys.new_empty(splits * batch, units, dtype=torch.float32)
    chunks = launch.ceil_div(units, parameters["BLOCK_A"])
    launches = _score_gradient_kernel.launch(
        batch * splits * chunks, query, query.stride(0), source.keys, source.exponentials, source.in_range, source.v,
        source.lengths, slopes, weights, deltas, score_slopes, parts, 0 if parts is None else parts.stride(-2),
        grad_keys, parts_v, positions, units, 0 if deltas is None else deltas.shape[1], chunks, splits, share, batch,
        STORED=source.keys.dtype == torch.float32, **parameters,
    )  # fmt: skip

    def run(i: int = 0) -> None:
        launches(i)
        if isinstance(parts, Tensor) and parts is not grad_query:
            at(grad_query, i).copy_(parts.sum(0))
        if grad_v is not None and parts_v is not None:
            grad_v.copy_(parts_v.sum(0))

    return run


def attend_one_query_backward(
    grad_context: Tensor,
    grad_weights: Tensor | None,
    query: Tensor,
    source: Source,
    weights: Tensor,
    needs: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    """Gradients of query [B, 1, A], keys, values and v, None where not needed."""
    batch, _, units = query.shape
    given = (query, source.keys, source.values, source.v)
    wanted = tuple(torch.empty_like(t) if need else None for t, need in zip(given, needs, strict=True))
    grad_query, grad_keys, grad_values, grad_v = wanted
    weights = weights.squeeze(1)
    launches, slopes, deltas = weights_gradient(
        grad_context.squeeze(1),
        None if grad_weights is None else grad_weights.squeeze(1),
        weights, source, grad_values,
    )  # fmt: skip
    launches()
    if needs[0] or needs[1] or needs[3]:
        score_gradient(
            query.view(batch, units), source, slopes, (weights, deltas), grad_keys=grad_keys, grad_v=grad_v,
            grad_query=None if grad_query is None else grad_query.view(batch, units),
        )(0)  # fmt: skip
    return wanted
