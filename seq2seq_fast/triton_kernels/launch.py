"""Launch parameters: small pure functions of the shape, so that a shape always runs the same code.

The sizes follow from three aims. Programs should be many enough to occupy a large GPU; a program of one query should
keep two tiles of 4,096 elements in flight, which is what its registers hold; and tiles should be no larger than the
data. Sizes that torch.compile leaves open decide nothing: each decision would be a guard, and a graph of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch._library.triton import is_wrap_triton_enabled

# Programs that occupy the largest GPUs (148 multiprocessors), four on each.
MANY_PROGRAMS = 592
# Programs below which a device is rather given more of them than fewer bytes.
FEW_PROGRAMS = 64
# Multiprocessors of the smallest device meant, an A100: fewer programs leave some of every device's idle.
FEW_MULTIPROCESSORS = 108
TILE_ELEMENTS = 4096
MANY_SCORES = 1 << 23
# Up to here each query reads its source for itself: repeated reads come from the cache, and one launch does it all.
FEW_QUERIES = 8
ELEMENTS_PER_WARP = 512
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
    if units % 16 == 0:
        return {"maxnreg": 168 if of_keys else 128}
    return {"maxnreg": 255 if of_keys else 168}


def one_query(rows: int, source: int, units: int, size: int, element_size: int) -> dict[str, int]:
    """Tiles of source positions by units (and by value columns) for one query a program.

    A tile leaves ``size`` float32 numbers, written and read, for the combining step. Larger tiles are taken where
    these would be more than a twelfth of the bytes of the source, or where programs are many in any case.

    Where a launch leaves multiprocessors idle, each program has one to itself: its tiles are twice as large, and in 16
    bits have as many bytes as in 32. More programs instead would cost bytes (64 sources of 50 positions in bfloat16,
    two tiles each: 1.12 times the least, not 1.01). Rows that no 16-byte loads fit want registers for addresses: they
    keep small tiles, as do launches of many programs, which have bytes in flight enough.
    """
    rows, source = settled(rows), settled(source)
    positions = power_of_two(source, 4, 16)
    while positions < 64 and positions < source:
        programs = rows * ceil_div(source, 2 * positions)
        left = ceil_div(source, positions) * size * 8
        heavy = 12 * left > source * (units + size) * element_size
        if programs < (FEW_PROGRAMS if heavy else MANY_PROGRAMS):
            break
        positions *= 2
    idle = rows * ceil_div(source, positions) < FEW_MULTIPROCESSORS
    larger = 2 if idle and units % 16 == size % 16 == 0 else 1
    narrower = 4 // element_size if larger == 2 else 1
    columns = larger * TILE_ELEMENTS // positions
    block_a, block_d = power_of_two(units, 8, narrower * columns), power_of_two(size, 8, columns)
    return {
        "BLOCK_T": positions,
        "BLOCK_A": block_a,
        "BLOCK_D": block_d,
        "num_warps": power_of_two(positions * max(block_a // narrower, block_d) // ELEMENTS_PER_WARP, 1, 8 * larger),
    }


def combine(source: int, size: int) -> dict[str, int]:
    """Columns of contexts and of weights that one program of the combining step writes."""
    return {"BLOCK": power_of_two(torch.sym_max(source, size), 32, 256), "BLOCK_S": 32, "num_warps": 4}


def weights_gradient(rows: int, source: int, size: int, element_size: int) -> dict[str, int]:
    """Tiles of positions by value columns in the first half of one query's backward."""
    parameters = one_query(rows, source, 8, size, element_size)
    return {name: parameters[name] for name in ("BLOCK_T", "BLOCK_D", "num_warps")}


def score_gradient(rows: int, source: int, units: int, element_size: int) -> tuple[dict[str, int], tuple[int, int]]:
    """Tiles of the second half, and into how many shares of how many positions a source is split.

    Units are shared out first: only where they do not occupy the device are positions, whose sums must then be added.
    """
    block_a = power_of_two(units, 8, 256 // element_size)
    positions = power_of_two(settled(source), 4, 32)
    programs = settled(rows) * ceil_div(units, block_a)
    splits = max(1, min(ceil_div(settled(source), 2 * positions), MANY_PROGRAMS // max(1, programs)))
    share = ceil_div(ceil_div(source, splits), positions) * positions
    parameters = {
        "BLOCK_T": positions,
        "BLOCK_A": block_a,
        "BLOCK_S": 32,
        "num_warps": power_of_two(ceil_div(positions * block_a, 512), 1, 8),
    }
    return parameters, (splits if is_open(source) else max(1, ceil_div(source, max(1, share))), share)


def exponentials(size: int) -> dict[str, int]:
    return {"BLOCK": power_of_two(size, 32, 2048), "num_warps": 4}


def query_chunk(batch: int, queries: int, source: int) -> int:
    """Queries a source whose scores are held at once: all of them while those are few, else 32 MiB of them or 32."""
    return min(queries, max(32, MANY_SCORES // max(1, batch * source)))


def query_chunks(batch: int, queries: int, source: int) -> list[tuple[int, int]]:
    """The first query of each chunk and how many it has; one chunk of sizes that torch.compile leaves open."""
    if is_open(batch, queries, source):
        return [(0, queries)]
    chunk = max(1, query_chunk(batch, queries, source))
    return [(first, min(chunk, queries - first)) for first in range(0, queries, chunk)]


def score_tiles(batch: int, queries: int, source: int, units: int) -> dict[str, int]:
    """Tiles of queries by keys by units; smaller ones where those would leave the device idle."""
    batch, queries, source = settled(batch), settled(queries), settled(source)
    block_q, block_k = power_of_two(queries, 4, 16), power_of_two(source, 16, 64)
    while block_q * block_k > 256 and batch * ceil_div(queries, block_q) * ceil_div(source, block_k) < MANY_PROGRAMS:
        block_q, block_k = (block_q, block_k // 2) if block_k > 2 * block_q else (block_q // 2, block_k)
    return {
        "BLOCK_Q": block_q,
        "BLOCK_K": block_k,
        "BLOCK_A": power_of_two(units, 8, 32 if block_q * block_k == 1024 else 16),
        "num_warps": power_of_two(block_q * block_k // 256, 1, 4),
    }


def softmax_rows(source: int) -> dict[str, int]:
    block = power_of_two(source, 32, 1024)
    return {"BLOCK": block, "num_warps": power_of_two(block // 256, 1, 4)}


def unit_gradients(rows: int, others: int, units: int) -> dict[str, int]:
    """Tiles of rows (whose gradient is taken) by others by units."""
    block_r, block_a = power_of_two(rows, 4, 16), power_of_two(units, 8, 64)
    return {
        "BLOCK_R": block_r,
        "BLOCK_O": power_of_two(others, 4, 8),
        "BLOCK_A": block_a,
        "num_warps": power_of_two(block_r * block_a // 256, 1, 4),
    }


def cell(hidden_size: int) -> dict[str, int]:
    """Hidden units of one row that a program of a cell's arithmetic takes."""
    block = power_of_two(hidden_size, 32, 512)
    return {"BLOCK": block, "num_warps": power_of_two(block // 128, 1, 4)}


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
