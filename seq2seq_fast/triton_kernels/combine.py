"""One softmax and one context from the parts that the tiles of a long source leave."""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from seq2seq_fast.triton_kernels import launch
from seq2seq_fast.triton_kernels.arithmetic import finite_or_zero_maximum, inverse_or_zero, natural_exponential
from seq2seq_fast.triton_kernels.kernel import Laid, Launch, in_eights, kernel


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
def combined_context(partial, maxima, row, column, there, tiles, shift, inverse, D):
    """Columns of a row's context where they are ``there``, from the unnormalised contexts of its tiles."""
    summed = tl.zeros(column.shape, tl.float32)
    for tile in range(0, tiles):
        scale = natural_exponential(tl.load(maxima + row * tiles + tile) - shift) * inverse
        part = tl.load(partial + (row * tiles + tile) * D + column, mask=there, other=0.0)
        summed = tl.fma(part, scale, summed)
    return summed


@kernel(rows="D", counts="Tx tiles blocks", single="maxima sums weights logsumexp")
def _combine_kernel(
    partial, maxima, sums, context, weights, logsumexp, Tx, D, tiles, blocks,
    WIDE: tl.constexpr, BLOCK: tl.constexpr, BLOCK_S: tl.constexpr,
):  # fmt: skip
    """Columns of one row's context, and weights of as many positions."""
    D = in_eights(D, WIDE)
    program = tl.program_id(0).to(tl.int64)
    row = program // blocks
    block = program % blocks
    column = block * BLOCK + tl.arange(0, BLOCK)
    shift, total = combined_softmax(maxima, sums, row, tiles, BLOCK_S)
    inverse = inverse_or_zero(total)
    if logsumexp is not None:
        tl.store(logsumexp + row, shift + tl.log(total), mask=block == 0)
    if block * BLOCK < D:
        summed = combined_context(partial, maxima, row, column, column < D, tiles, shift, inverse, D)
        tl.store(context + row * D + column, summed.to(context.dtype.element_ty), mask=column < D)
    if weights is not None:
        place = weights + row * Tx + column
        scores = tl.load(place, mask=column < Tx, other=0.0)
        tl.store(place, natural_exponential(scores - shift) * inverse, mask=column < Tx)


class Tiles(NamedTuple):
    """What tiles leave, in float32: unnormalised contexts [rows, tiles, D] of the values and, where there are
    projected values, of those [rows, tiles, P]; maxima and sums of the softmax [rows, tiles]. Rows are queries.
    """

    context: Tensor
    projected_context: Tensor | None
    maxima: Tensor
    sums: Tensor


def empty_tiles(like: Tensor, rows: int, count: int, size: int, projected_size: int) -> Tiles:
    def empty(*shape: int) -> Tensor:
        return like.new_empty((rows, count, *shape), dtype=torch.float32)

    return Tiles(empty(size), empty(projected_size) if projected_size else None, empty(), empty())


def combine_tiles(tiles: Tiles, context: Laid, weights: Laid | None, logsumexp: Tensor | None, source: int) -> Launch:
    """Final contexts [rows, D], weights (from the raw scores that they hold) and logarithms of the sums."""
    rows, count, size = tiles.context.shape
    parameters = launch.combine(source, size)
    columns = torch.sym_max(size, source) if weights is not None else size
    blocks = torch.sym_max(1, launch.ceil_div(columns, parameters["BLOCK"]))
    return _combine_kernel.launch(
        rows * blocks, tiles.context, tiles.maxima, tiles.sums, context, weights, logsumexp, source, size, count,
        blocks, **parameters,
    )  # fmt: skip
