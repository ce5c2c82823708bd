"""Launch parameters: small pure functions of the shape and the device's multiprocessors.

The sizes follow from three aims. Programs should be many enough to occupy the device; each should have as many bytes
on their way as its registers hold; and the sizes of a batch should choose among few forms, as each is compiled at its
first use. Sizes that torch.compile leaves open decide nothing: each decision would be a guard, and a graph of its own.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch._library.triton import is_wrap_triton_enabled

# Multiprocessors where no device says its number: an H100's.
ASSUMED_PROCESSORS = 132
# What a program of 256 threads has in registers of the tile that it works on and of the next one.
TILE_BYTES = 1 << 14
MANY_SCORES = 1 << 23
# Up to here each query reads its source for itself: repeated reads come from the cache, and one launch does it all.
FEW_QUERIES = 8
# What is read in about the time that a launch takes.
LAUNCH_BYTES = 8_000_000
# What is assumed of a number of sources, queries or positions that torch.compile leaves open.
TYPICAL = 64


def ceil_div(a: int, b: int) -> int:
    return (a + b - 1) // b


def is_open(*sizes: int) -> bool:
    """Whether torch.compile leaves one of the sizes open, so that a graph serves any."""
    return any(isinstance(size, torch.SymInt) for size in sizes)


def settled(size: int) -> int:
    return TYPICAL if is_open(size) else size


def power_of_two(n: int, low: int, high: int) -> int:
    """The least power of two from ``low`` to ``high`` that is at least ``n``; ``high`` if ``n`` is larger or open."""
    if is_open(n):
        return high
    power = low
    while power < n and power < high:
        power *= 2
    return power


def tile_count(positions: int, block: int) -> int:
    """Tiles of a source, at least one; of an open length at least two, of which one may be empty."""
    count = ceil_div(positions, block)
    return torch.sym_max(2 if is_open(count) else 1, count)


def in_wide_loads(*sizes: int) -> bool:
    """Whether rows of such sizes fit 16-byte loads in every dtype; of an open size, only where that is sure."""
    if is_open(*sizes):
        from torch.fx.experimental.symbolic_shapes import statically_known_true

        return all(statically_known_true(size % 8 == 0) for size in sizes)
    return not any(size % 8 for size in sizes)


def fusion() -> dict[str, Any]:
    """Products and sums are contracted, whatever Triton's default; torch.compile traces launches without this option.

    No result's determinism hangs on it (:func:`seq2seq_fast.triton_kernels.arithmetic.rounded_product`).
    """
    return {} if is_wrap_triton_enabled() else {"enable_fp_fusion": True}


def unit_gradient_registers(units: int, of_keys: bool) -> dict[str, Any]:
    """The most registers of a thread; ptxas, left to choose, takes a few less than it needs, and spills. As `fusion`.

    The keys' side has sums for v besides. Rows that no 16-byte loads fit want registers for addresses.
    """
    if is_wrap_triton_enabled():
        return {}
    if in_wide_loads(units):
        return {"maxnreg": 168 if of_keys else 128}
    return {"maxnreg": 255 if of_keys else 168}


def attend_registers(element_size: int, positions: int, projected: bool) -> dict[str, Any]:
    """The same for one query's tile of so many positions, with a second set of values or without.

    As many as let two programs share a multiprocessor, three where they hold 16 bits and one set of values, and one
    where a tile of 64 positions has twice the units.
    """
    if is_wrap_triton_enabled():
        return {}
    if element_size > 2 or (projected and positions <= 32):
        return {"maxnreg": 128}
    return {"maxnreg": 80 if positions <= 32 else 168}


def processors(tensor: torch.Tensor) -> int:
    """Multiprocessors of the tensor's device."""
    return _processors_of(tensor.get_device()) if tensor.is_cuda else ASSUMED_PROCESSORS


@contextlib.contextmanager
def assuming(processors: int) -> Iterator[None]:
    """Launches of tensors that lie on no GPU are planned for a device with so many multiprocessors."""
    global ASSUMED_PROCESSORS
    before = ASSUMED_PROCESSORS
    ASSUMED_PROCESSORS = processors
    try:
        yield
    finally:
        ASSUMED_PROCESSORS = before


@functools.cache
def _processors_of(device: int) -> int:
    # Fake CUDA tensors need no device.
    return (
        torch.cuda.get_device_properties(device).multi_processor_count
        if torch.cuda.is_available()
        else ASSUMED_PROCESSORS
    )


def tile(positions: int, units: int, element_size: int) -> tuple[int, int]:
    """Columns and warps of a tile of so many positions, as a program of 256 threads holds it."""
    columns = power_of_two(units, 8, TILE_BYTES // element_size // positions)
    return columns, power_of_two(positions * columns * element_size // (TILE_BYTES // 8), 1, 8)


def one_query(rows: int, source: int, units: int, size: int, element_size: int, processors: int) -> dict[str, int]:
    """Tiles of source positions by units (and by value columns) for one query a program.

    A tile leaves ``size`` float32 numbers, written and read, for the combining step. A source of up to 64 positions is
    one tile, unless that left half of the multiprocessors idle. There are three forms in all, one tile of 32 or of 64
    positions and tiles of 32: a source that is shorter than its tile reads no more for it.
    """
    source = settled(source)
    positions = 64 if 32 < source <= 64 and 2 * settled(rows) >= processors else 32
    # Tiles of 64 keep one program a multiprocessor: of 16 bits it takes twice the units, so as many bytes.
    block_a, warps_a = tile(positions, units, element_size if positions == 64 else 4)
    block_d, warps_d = tile(positions, size, 4)
    return {"BLOCK_T": positions, "BLOCK_A": block_a, "BLOCK_D": block_d, "num_warps": max(warps_a, warps_d)}


def combine(source: int, size: int) -> dict[str, int]:
    """Columns of contexts and of weights that one program of the combining step writes."""
    return {"BLOCK": power_of_two(torch.sym_max(source, size), 32, 256), "BLOCK_S": 32, "num_warps": 4}


def weights_gradient(size: int) -> dict[str, int]:
    """Tiles of positions by value columns in the first half of one query's backward."""
    columns, warps = tile(32, size, 4)
    return {"BLOCK_T": 32, "BLOCK_D": columns, "num_warps": warps}


def score_gradient(
    rows: int, source: int, units: int, element_size: int, processors: int
) -> tuple[dict[str, int], tuple[int, int]]:
    """Tiles of the second half, and into how many shares of how many positions a source is split.

    Units are shared out first: only where they do not occupy the device, with four programs a multiprocessor, are
    positions, whose sums must then be added.
    """
    positions, block_a = 32, power_of_two(units, 8, 256 // element_size)
    programs = settled(rows) * ceil_div(units, block_a)
    splits = max(1, min(ceil_div(settled(source), 2 * positions), 4 * processors // max(1, programs)))
    share = ceil_div(ceil_div(source, splits), positions) * positions
    parameters = {
        "BLOCK_T": positions,
        "BLOCK_A": block_a,
        "BLOCK_S": 32,
        "num_warps": power_of_two(ceil_div(positions * block_a, 512), 1, 8),
    }
    return parameters, (splits if is_open(source) else max(1, ceil_div(source, max(1, share))), share)


# Entries of a source that a program takes exponentials of, four a thread.
EXPONENTIALS = {"BLOCK": 512, "num_warps": 4}


def query_chunk(batch: int, queries: int, source: int) -> int:
    """Queries a source whose scores are held at once: all of them while those are few, else 32 MiB of them or 32."""
    return min(queries, max(32, MANY_SCORES // max(1, batch * source)))


def query_chunks(batch: int, queries: int, source: int) -> list[tuple[int, int]]:
    """The first query of each chunk and how many it has; one chunk of sizes that torch.compile leaves open."""
    if is_open(batch, queries, source):
        return [(0, queries)]
    chunk = max(1, query_chunk(batch, queries, source))
    return [(first, min(chunk, queries - first)) for first in range(0, queries, chunk)]


# Queries, keys and units of a tile of scores, and warps: the smaller, the more programs for few scores.
SCORE_TILES = ((16, 64, 32, 4), (8, 32, 16, 1), (4, 16, 16, 2))


def score_tiles(batch: int, queries: int, source: int, units: int, processors: int) -> dict[str, int]:
    """The largest tiles of queries by keys by units that give every multiprocessor four programs."""
    batch, queries, source = settled(batch), settled(queries), settled(source)
    enough = (
        form for form in SCORE_TILES if batch * ceil_div(queries, form[0]) * ceil_div(source, form[1]) >= 4 * processors
    )
    block_q, block_k, block_a, warps = next(enough, SCORE_TILES[-1])
    return {"BLOCK_Q": block_q, "BLOCK_K": block_k, "BLOCK_A": power_of_two(units, 8, block_a), "num_warps": warps}


def softmax_rows(source: int) -> dict[str, int]:
    source = settled(source)
    block = next((block for block in (64, 256) if source <= block), 1024)
    return {"BLOCK": block, "num_warps": power_of_two(block // 256, 1, 4)}


def unit_gradients(units: int) -> dict[str, int]:
    """Tiles of 16 rows (whose gradient is taken) by 8 others by units."""
    block_a = power_of_two(units, 8, 64)
    return {"BLOCK_R": 16, "BLOCK_O": 8, "BLOCK_A": block_a, "num_warps": power_of_two(block_a // 16, 1, 4)}


def cell(hidden_size: int) -> dict[str, int]:
    """Hidden units of one row that a program of a cell's arithmetic takes, four a thread."""
    block = power_of_two(hidden_size, 32, 256)
    return {"BLOCK": block, "num_warps": power_of_two(block // 128, 1, 2)}


def project_values(batch: int, source: int, size: int, gates: int, element_size: int) -> bool:
    """Whether a decoder weighs projected values, [B, Tx, G H], instead of multiplying every context by [G H, D].

    The projection costs the bytes by which its rows are wider, in every step, and saves reading the weights and one
    launch.
    """
    return batch * source * (gates - size) * element_size <= gates * size * element_size + LAUNCH_BYTES


def multiply_tiles(rows: int, tiles: int, gates: int) -> bool:
    """Whether a step multiplies the contexts of a source's tiles, [rows tiles, D], and combines what that gives.

    Combining first is one more launch; multiplying first writes and reads [rows, tiles, G H] in float32.
    """
    return rows * tiles * gates * 8 <= LAUNCH_BYTES
