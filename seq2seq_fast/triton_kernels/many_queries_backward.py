"""Gradients of attention with many queries a source.

Scores are recomputed from what forward kept (or taken from its weights), the weights' gradient is a product of the
vendor's, and one kernel a row turns both into the scores' gradient ``ds``. Given that, units do not meet any more: a
gradient of a query or of a key is ``4 v_h sum ds r (1 - r)`` over the other side, for each unit on its own. One kernel
serves both sides, tiles of rows by units, and every element has one writer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from seq2seq_fast.triton_kernels import launch
from seq2seq_fast.triton_kernels.arithmetic import (
    join_pairs,
    join_row,
    natural_exponential,
    pair_ratios,
    quarter_slope,
    split_pairs,
    split_row,
)
from seq2seq_fast.triton_kernels.kernel import at_row, in_eights, kernel
from seq2seq_fast.triton_kernels.key_exponentials import Queries, prepare_queries
from seq2seq_fast.triton_kernels.many_queries import score_tiles
from seq2seq_fast.triton_kernels.one_query import Source, attended_positions
from seq2seq_fast.triton_kernels.products import batched_product


@kernel(rows="Tx", counts="Tq first count", single="logsumexp lengths mask")
def _softmax_rows_backward_kernel(
    scores, weights, logsumexp, slopes, grad_weights, probabilities, lengths, mask, Tq, Tx, first, count,
    WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One row: ``slopes`` [B, count, Tx] hold the gradient through the context and get the scores' gradient.

    The weights are ``weights`` [B, Tq, Tx], or ``exp(scores - logsumexp)`` where there are ``scores``
    [B, count, Tx]; they are left in ``probabilities`` [B, count, Tx] where that is given.
    """
    Tx = in_eights(Tx, WIDE)
    row = tl.program_id(0).to(tl.int64)
    source = row // count
    whole_row = source * Tq + first + row % count
    delta = tl.zeros((BLOCK,), tl.float32)
    shift = 0.0
    if scores is not None:
        shift = tl.load(logsumexp + whole_row)
        shift = tl.where(shift == float("-inf"), 0.0, shift)
    for last_pass in tl.static_range(2):
        total = tl.sum(delta, axis=0)
        for start in range(0, Tx, BLOCK):
            position = start + tl.arange(0, BLOCK)
            _, attended = attended_positions(position, source, lengths, mask, Tx)
            if scores is not None:
                score = tl.load(scores + row * Tx + position, mask=attended, other=float("-inf"))
                weight = natural_exponential(score - shift)
            else:
                weight = tl.load(weights + whole_row * Tx + position, mask=attended, other=0.0)
            slope = tl.load(slopes + row * Tx + position, mask=attended, other=0.0)
            if grad_weights is not None:
                place = grad_weights + whole_row * Tx + position
                slope += tl.load(place, mask=attended, other=0.0).to(tl.float32)
            if last_pass == 0:
                delta += weight * slope
            else:
                slope = tl.where(attended, weight * (slope - total), 0.0)
                tl.store(slopes + row * Tx + position, slope, mask=position < Tx)
                if probabilities is not None:
                    place = probabilities + row * Tx + position
                    tl.store(place, weight.to(probabilities.dtype.element_ty), mask=position < Tx)


@triton.jit
def _unit_sums(
    row_0, row_1, others, other_stride, slopes, slope_row_stride, slope_other_stride, row, there, O, columns, A,
    BLOCK_R: tl.constexpr, BLOCK_O: tl.constexpr, BLOCK_A: tl.constexpr, STAGES: tl.constexpr,
    ROWS_ARE_KEYS: tl.constexpr, SUM_RATIOS: tl.constexpr, DIRECT: tl.constexpr,
):  # fmt: skip
    """Sums over the others of ``ds r (1 - r)`` and, ``SUM_RATIOS``, of ``ds r`` and ``ds``."""
    sum_0 = tl.zeros((BLOCK_R, BLOCK_A // 2), tl.float32)
    sum_1 = tl.zeros((BLOCK_R, BLOCK_A // 2), tl.float32)
    ratios_0 = tl.zeros((BLOCK_R, BLOCK_A // 2), tl.float32)
    ratios_1 = tl.zeros((BLOCK_R, BLOCK_A // 2), tl.float32)
    slope_sum = tl.zeros((BLOCK_R,), tl.float32)
    for start in tl.range(0, O, BLOCK_O, num_stages=STAGES):
        other = (start + tl.arange(0, BLOCK_O)).to(tl.int64)
        tile = tl.load(
            others + other[:, None] * other_stride + columns[None, :],
            mask=(other < O)[:, None] & (columns < A)[None, :],
            other=0.0,
        )
        # Neighbouring keys are neighbours in memory: the loads are wide whichever side the keys are.
        if ROWS_ARE_KEYS:
            place = other[:, None] * slope_other_stride + row[None, :]
            slope = tl.load(slopes + place, mask=(other < O)[:, None] & there[None, :], other=0.0)
        else:
            place = row[:, None] * slope_row_stride + other[None, :]
            slope = tl.trans(tl.load(slopes + place, mask=(other < O)[None, :] & there[:, None], other=0.0))
        slope = slope.to(tl.float32)
        other_0, other_1 = split_pairs(tile.to(tl.float32), BLOCK_O, BLOCK_A)
        ratio_0, ratio_1 = pair_ratios(
            row_0[None, :, :], row_1[None, :, :], other_0[:, None, :], other_1[:, None, :], DIRECT
        )
        spread = slope[:, :, None]
        if SUM_RATIOS:
            slope_sum += tl.sum(slope, axis=0)
            weighted_0, weighted_1 = spread * ratio_0, spread * ratio_1
            ratios_0 += tl.sum(weighted_0, axis=0)
            ratios_1 += tl.sum(weighted_1, axis=0)
            sum_0 += tl.sum(weighted_0 * ratio_0, axis=0)
            sum_1 += tl.sum(weighted_1 * ratio_1, axis=0)
        else:
            sum_0 += tl.sum(spread * quarter_slope(ratio_0), axis=0)
            sum_1 += tl.sum(spread * quarter_slope(ratio_1), axis=0)
    if SUM_RATIOS:
        sum_0, sum_1 = ratios_0 - sum_0, ratios_1 - sum_1
    return sum_0, sum_1, ratios_0, ratios_1, slope_sum


@kernel(
    rows="row_source_stride row_stride other_source_stride other_stride A",
    counts="slope_source_stride slope_row_stride slope_other_stride R O row_tiles chunks",
    single="slopes query_inside in_range lengths",
)
def _unit_gradients_kernel(
    rows, row_exponentials, row_source_stride, row_stride, others, other_exponentials, other_source_stride,
    other_stride, slopes, slope_source_stride, slope_row_stride, slope_other_stride, query_inside, in_range, v,
    lengths, gradient, grad_v, R, O, A, row_tiles, chunks,
    WIDE: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_O: tl.constexpr, BLOCK_A: tl.constexpr,
    ROWS_ARE_KEYS: tl.constexpr, ACCUMULATE: tl.constexpr,
):  # fmt: skip
    """Gradient of a tile of rows (queries or keys) by units, laid out as the rows are, and what the tile adds to v's,
    ``grad_v`` [B row_tiles, A].
    """
    A, other_stride = in_eights(A, WIDE), in_eights(other_stride, WIDE)
    program = tl.program_id(0).to(tl.int64)
    chunk = program % chunks
    tile = program // chunks
    source = tile // row_tiles
    row = (tile % row_tiles) * BLOCK_R + tl.arange(0, BLOCK_R)
    there = row < R
    columns = chunk * BLOCK_A + tl.arange(0, BLOCK_A)
    mask = there[:, None] & (columns < A)[None, :]
    place = at_row(source, row_source_stride, WIDE) + at_row(row, row_stride, WIDE)[:, None] + columns[None, :]
    slopes += source * slope_source_stride
    visited = tl.full((), O, tl.int64)
    if lengths is not None:
        length = tl.load(lengths + source)
        if ROWS_ARE_KEYS:
            # Slopes beyond the length need not have been written.
            there = there & (row < length)
            visited = tl.where(tl.min(row, axis=0) < length, visited, 0)
        else:
            visited = tl.minimum(tl.maximum(length, 0), visited)
    direct = (tl.load(query_inside + source).to(tl.int32) & tl.load(in_range + source).to(tl.int32)) == 0
    if direct:
        row_0, row_1 = split_pairs(tl.load(rows + place, mask=mask, other=0.0).to(tl.float32), BLOCK_R, BLOCK_A)
        sum_0, sum_1, ratios_0, ratios_1, slope_sum = _unit_sums(
            row_0, row_1, others + at_row(source, other_source_stride, WIDE), other_stride, slopes, slope_row_stride,
            slope_other_stride, row, there, visited, columns, A,
            BLOCK_R, 4, BLOCK_A, 1, ROWS_ARE_KEYS, grad_v is not None, True,
        )  # fmt: skip
    else:
        row_0, row_1 = split_pairs(tl.load(row_exponentials + place, mask=mask, other=0.0), BLOCK_R, BLOCK_A)
        sum_0, sum_1, ratios_0, ratios_1, slope_sum = _unit_sums(
            row_0, row_1, other_exponentials + at_row(source, other_source_stride, WIDE), other_stride, slopes,
            slope_row_stride, slope_other_stride, row, there, visited, columns, A,
            BLOCK_R, BLOCK_O, BLOCK_A, 3, ROWS_ARE_KEYS, grad_v is not None, False,
        )  # fmt: skip
    if gradient is not None:
        v_0, v_1 = split_row(tl.load(v + columns, mask=columns < A, other=0.0).to(tl.float32), BLOCK_A)
        result = join_pairs(sum_0 * (4.0 * v_0)[None, :], sum_1 * (4.0 * v_1)[None, :], BLOCK_R, BLOCK_A)
        if ACCUMULATE:
            result += tl.load(gradient + place, mask=mask, other=0.0)
        tl.store(gradient + place, result.to(gradient.dtype.element_ty), mask=mask)
    if grad_v is not None:
        # ds (1 - 2 r), summed over both sides.
        constant = tl.sum(slope_sum, axis=0)
        even, odd = constant - 2.0 * tl.sum(ratios_0, axis=0), constant - 2.0 * tl.sum(ratios_1, axis=0)
        tl.store(grad_v + tile * A + columns, join_row(even, odd, BLOCK_A), mask=columns < A)


def unit_gradients(
    queries: Queries,
    source: Source,
    slopes: Tensor,
    gradient: Tensor | None,
    *,
    of_keys: bool,
    accumulate: bool = False,
    with_v: bool = False,
) -> Tensor | None:
    """Gradient of the queries or of the keys, into ``gradient``, and of v [A] in float32 where asked.

    ``slopes`` [B, Tq, Tx] is the scores' gradient. ``queries`` may be views; the gradient is laid out as its side is.
    """
    rows, row_exponentials = (source.keys, source.exponentials) if of_keys else queries[:2]
    others, other_exponentials = queries[:2] if of_keys else (source.keys, source.exponentials)
    batch, count, units = rows.shape
    parameters = launch.unit_gradients(units)
    row_tiles, chunks = launch.ceil_div(count, parameters["BLOCK_R"]), launch.ceil_div(units, parameters["BLOCK_A"])
    parts = slopes.new_empty((batch * row_tiles, units), dtype=torch.float32) if with_v else None
    of_query, of_key = slopes.stride()[1:]
    _unit_gradients_kernel.start(
        batch * row_tiles * chunks, rows, row_exponentials, *rows.stride()[:2], others, other_exponentials,
        *others.stride()[:2], slopes, slopes.stride(0), *((of_key, of_query) if of_keys else (of_query, of_key)),
        queries.inside, source.in_range, source.v, source.lengths, gradient, parts,
        count, others.shape[1], units, row_tiles, chunks,
        ROWS_ARE_KEYS=of_keys, ACCUMULATE=accumulate, **parameters,
        **launch.unit_gradient_registers(units, of_keys),
    )  # fmt: skip
    return None if parts is None else parts.sum(0)


def attend_many_queries_backward(
    grad_context: Tensor,
    grad_weights: Tensor | None,
    query: Tensor,
    source: Source,
    weights: Tensor | None,
    logsumexp: Tensor,
    needs: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    """Gradients of query [B, Tq, A], keys, values and v, None where not needed; without ``weights`` from logsumexp."""
    batch, queries, _ = query.shape
    keys, values = source.keys, source.values
    positions = keys.shape[1]
    prepared = prepare_queries(query)
    chunks = launch.query_chunks(batch, queries, positions)
    parted = len(chunks) != 1
    grad_query = torch.empty_like(query) if needs[0] else None
    # Sums over chunks of queries are kept in float32.
    grad_keys = torch.zeros_like(keys, dtype=torch.float32) if parted else torch.empty_like(keys)
    grad_values = torch.zeros_like(values, dtype=torch.float32) if parted and needs[2] else None
    grad_v = torch.zeros_like(source.v, dtype=torch.float32) if needs[3] else None
    for first, count in chunks:
        rows = slice(first, first + count)
        grad_rows = grad_context[:, rows]
        slopes = batched_product(grad_rows, values.transpose(1, 2))
        scores = None
        if weights is None:
            scores = torch.empty_like(slopes)
            score_tiles(prepared, source, scores, first, False)
        probabilities = torch.empty_like(slopes, dtype=values.dtype) if needs[2] else None
        _softmax_rows_backward(slopes, scores, weights, logsumexp, grad_weights, probabilities, source, first)
        part = prepared.part(rows)
        if grad_query is not None:
            unit_gradients(part, source, slopes, grad_query[:, rows], of_keys=False)
        if needs[1] or needs[3]:
            sum_v = unit_gradients(
                part, source, slopes, grad_keys if needs[1] else None, of_keys=True, accumulate=parted, with_v=needs[3]
            )
            if grad_v is not None and sum_v is not None:
                grad_v += sum_v
        if probabilities is not None:
            if grad_values is None:
                grad_values = torch.bmm(probabilities.transpose(1, 2), grad_rows)
            else:
                grad_values += batched_product(probabilities.transpose(1, 2), grad_rows)
    return (
        grad_query,
        grad_keys.to(keys.dtype) if needs[1] else None,
        None if grad_values is None else grad_values.to(values.dtype),
        None if grad_v is None else grad_v.to(source.v.dtype),
    )


def _softmax_rows_backward(
    slopes: Tensor,
    scores: Tensor | None,
    weights: Tensor | None,
    logsumexp: Tensor,
    grad_weights: Tensor | None,
    probabilities: Tensor | None,
    source: Source,
    first: int,
) -> None:
    batch, count, positions = slopes.shape
    _softmax_rows_backward_kernel.start(
        batch * count, scores, weights, logsumexp, slopes, grad_weights, probabilities, source.lengths, source.mask,
        logsumexp.shape[1], positions, first, count, **launch.softmax_rows(positions),
    )  # fmt: skip
