"""What the launchers of csrc/cuda start: the kernel's instance, its grid, shared memory and the bytes that it moves.

The same arithmetic stands in csrc/cuda; tests/benchmarks/gpu_report/test_cuda_launches.py holds every launch against
that. Bytes count as in `passes`: each byte once a block, and once a step where a block comes back to it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from seq2seq_fast.cuda_kernels.plan import ceil_div, round_up

TYPES = ("float", "__half", "__nv_bfloat16")  # by the number of the dtype
ATTENTION_THREADS, OWNER_THREADS, ELEMENTWISE_THREADS = 256, 128, 256
Arguments = Mapping[str, Any]


class Kernel(NamedTuple):
    """A launch; `moved` holds bytes by argument."""

    stem: str
    instance: str
    grid: tuple[int, ...]
    shared: int
    moved: dict[str, float]


def bytes_of(a: Arguments, **times: float) -> dict[str, float]:
    """Bytes of these arguments, each so many times."""
    return {
        name: a[name].numel() * a[name].element_size() * n for name, n in times.items() if isinstance(a[name], Tensor)
    }


def vector_width(dtype: int) -> int:
    return 4 if dtype == 0 else 8


def aligned(tensor: Tensor | None) -> bool:
    """Whether it starts at a multiple of 16 bytes: allocations do."""
    return tensor is None or tensor.storage_offset() * tensor.element_size() % 16 == 0


def width(dtype: int, numbers: tuple[int, ...], tensors: tuple[Tensor | None, ...]) -> int:
    wide = vector_width(dtype)
    return wide if all(n % wide == 0 for n in numbers) and all(map(aligned, tensors)) else 1


def owner_grid(rows: int, columns: int, rows_per_thread: int) -> tuple[int, int, int]:
    """Tiles of columns and of rows, and groups of a block."""
    threads = 1
    while threads < columns and threads < OWNER_THREADS:
        threads *= 2
    groups = OWNER_THREADS // threads
    return ceil_div(columns, threads), ceil_div(rows, groups * rows_per_thread), groups


def tile_of_queries(a: Arguments, bytes_of_four: int) -> int:
    """Queries of a block: four where there are several and four find room in shared memory."""
    return 4 if a["queries"] > 1 and bytes_of_four <= a["most_shared_bytes"] else 1


def attention_chunk(batch: int, queries: int, positions: int, multiprocessors: int) -> int:
    blocks = batch * (1 if queries == 1 else ceil_div(queries, 4))
    if not blocks or not positions:
        return 256
    splits = ceil_div(4 * multiprocessors, blocks)
    return min(256, round_up(ceil_div(positions, splits), 16))


def key_exponentials_parts(elements: int) -> int:
    return ceil_div(elements, 16 * ATTENTION_THREADS)


def score_backward_plan(
    dtype: int, batch: int, rows: int, others: int, units: int, all_aligned: bool, multiprocessors: int
) -> tuple[int, int]:
    wide = vector_width(dtype) if all_aligned and units % vector_width(dtype) == 0 else 1
    columns, row_tiles, groups = owner_grid(rows, ceil_div(units, wide), 1 if rows == 1 else 4)
    blocks = batch * columns * row_tiles
    wanted = ceil_div(4 * multiprocessors, blocks) if blocks else 1
    splits = min(wanted, 1 if others <= 8 else others // 8)
    return splits, splits * batch * row_tiles * groups


def attend_bytes(units: int, chunk: int, wide: int, q: int) -> int:
    return 4 * ((q + 1) * round_up(units, 4) + q * chunk + 2 * q + ATTENTION_THREADS * wide)


def attend_forward(a: Arguments) -> list[Kernel]:
    batch, queries, positions, units, size, chunk = (
        a[name] for name in ("batch", "queries", "positions", "units", "size", "chunk")
    )
    dtype = a["dtype"]
    q = tile_of_queries(a, attend_bytes(units, chunk, vector_width(dtype), 4))
    splits = ceil_div(positions, chunk) if positions else 1
    wide = width(dtype, (units, size), (a["keys"], a["exponentials"], a["values"], a["context"]))
    tiles = ceil_div(queries, q)
    blocks, of_source = batch * tiles * splits, tiles * splits
    whole = dtype == 0  # of 16-bit keys the exponentials stay unread
    moved = bytes_of(
        a, query=splits, v=blocks, exponentials=tiles * whole, keys=tiles * (not whole), values=tiles,
        in_range=of_source * whole, lengths=of_source, mask=tiles, context=splits == 1, weights=1,
        logsumexp=splits == 1, partial=1,
    )  # fmt: skip
    instance, shared = f"attend_kernel<{TYPES[dtype]}, {wide}, {q}>", attend_bytes(units, chunk, wide, q)
    attend = Kernel("additive_attention", instance, (blocks,), shared, moved)
    if splits == 1:
        return [attend]
    moved = bytes_of(a, partial=1, weights=2, context=1, logsumexp=1, lengths=queries, mask=queries)
    return [
        attend,
        Kernel("additive_attention", f"combine_kernel<{TYPES[dtype]}>", (batch * queries,), 4 * splits, moved),
    ]


def weights_bytes(size: int, q: int) -> int:
    return 4 * q * round_up(size, 4)


def attend_backward_weights(a: Arguments) -> list[Kernel]:
    q = tile_of_queries(a, weights_bytes(a["size"], 4))
    tiles, chunks = ceil_div(a["queries"], q), ceil_div(a["positions"], a["chunk"])
    wide = width(a["dtype"], (a["size"],), (a["values"],))
    moved = bytes_of(a, grad_context=chunks, values=tiles, through_weights=1, grad_weights=1)
    instance = f"weights_backward_kernel<{TYPES[a['dtype']]}, {wide}, {q}>"
    grid = (a["batch"] * tiles * chunks,)
    return [Kernel("additive_attention_backward", instance, grid, weights_bytes(a["size"], q), moved)]


def attend_backward_softmax(a: Arguments) -> list[Kernel]:
    grid = (ceil_div(a["batch"] * a["queries"], ATTENTION_THREADS // 32),)
    written = 1 if a["logsumexp"] is None else 2
    moved = bytes_of(a, weights=written, grads=2, logsumexp=1, lengths=a["queries"], mask=a["queries"])
    return [Kernel("additive_attention_backward", "softmax_backward_kernel", grid, 0, moved)]


def attend_backward_values(a: Arguments) -> list[Kernel]:
    wide = width(a["dtype"], (a["size"],), (a["grad_context"], a["grad_values"]))
    columns, row_tiles, _ = owner_grid(a["positions"], ceil_div(a["size"], wide), 4)
    moved = bytes_of(a, grad_context=row_tiles, weights=columns, grad_values=1)
    instance = f"values_backward_kernel<{TYPES[a['dtype']]}, {wide}, 4>"
    return [Kernel("additive_attention_backward", instance, (a["batch"] * columns * row_tiles,), 0, moved)]


def key_exponentials(a: Arguments) -> list[Kernel]:
    wide = width(a["dtype"], (a["elements"],), (a["keys"], a["exponentials"]))
    grid = (a["batch"] * key_exponentials_parts(a["elements"]),)
    moved = bytes_of(a, keys=1, exponentials=1, part_in_range=1)
    return [Kernel("additive_score", f"key_exponentials_kernel<{TYPES[a['dtype']]}, {wide}>", grid, 0, moved)]


def score_bytes(units: int, q: int) -> int:
    return 4 * (q + 1) * round_up(units, 4)


def additive_score_forward(a: Arguments) -> list[Kernel]:
    dtype, units, batch, queries = a["dtype"], a["units"], a["batch"], a["queries"]
    q = tile_of_queries(a, score_bytes(units, 4))
    wide = width(dtype, (units,), (a["keys"], a["exponentials"]))
    tiles = ceil_div(queries, q)
    chunks = ceil_div(a["positions"], a["chunk"])
    centred, out = ("false", "float") if a["for_softmax"] else ("true", TYPES[dtype])
    whole = dtype == 0
    moved = bytes_of(
        a, query=chunks, exponentials=tiles * whole, keys=tiles * (not whole), in_range=tiles * chunks * whole,
        v=batch * tiles * chunks, scores=1,
    )  # fmt: skip
    instance = f"score_kernel<{centred}, {TYPES[dtype]}, {out}, {wide}, {q}>"
    return [Kernel("additive_score", instance, (batch * tiles * chunks,), score_bytes(units, q), moved)]


def additive_score_backward(a: Arguments) -> list[Kernel]:
    dtype, units, splits = a["dtype"], a["units"], a["splits"]
    wide = vector_width(dtype) if a["all_aligned"] and units % vector_width(dtype) == 0 else 1
    per_thread = 1 if a["rows"] == 1 else 4
    columns, row_tiles, _ = owner_grid(a["rows"], ceil_div(units, wide), per_thread)
    moved = bytes_of(
        a, own=splits, other=row_tiles, v=a["batch"] * row_tiles * splits, grad=columns, grad_own=1, partial=1,
        partial_v=1,
    )  # fmt: skip
    instance = f"score_backward_kernel<{TYPES[dtype]}, {wide}, {per_thread}>"
    return [Kernel("additive_score_backward", instance, (a["batch"] * columns * row_tiles * splits,), 0, moved)]


# Numbers of a unit of the state that a cell's kernel reads or writes.
CELLS = {
    "gru_gates_forward": dict(gates_input=3, gates_hidden=3, hidden=1, new_hidden=1, activations=3),
    "gru_gates_backward": dict(
        grad_hidden=1, gates_hidden=1, hidden=1, activations=3, grad_gates_input=3, grad_gates_hidden=3, grad_previous=1
    ),
    "gru_reset_forward": dict(gates_input=2, gates_hidden=2, hidden=1, reset_and_z=2, activations=2),
    "gru_reset_backward": dict(grad=2, hidden=1, activations=2, grad_gates=2, grad_hidden=1),
    "gru_update_forward": dict(candidate_input=1, candidate_hidden=1, z=1, hidden=1, new_hidden=1, activations=1),
    "gru_update_backward": dict(
        grad_hidden=1, z=1, hidden=1, activations=1, grad_candidate=1, grad_z=1, grad_previous=1
    ),
    "lstm_gates_forward": dict(gates_input=4, gates_hidden=4, cell=1, new_hidden=1, new_cell=1, activations=4),
    "lstm_gates_backward": dict(
        grad_hidden=1, grad_cell=1, cell=1, new_cell=1, activations=4, grad_gates=4, grad_previous=1
    ),
}


def cell(name: str, a: Arguments) -> list[Kernel]:
    """Arguments with a distance between their rows decide on the width, and an LSTM's saved activations."""
    types = [a[kind] for kind in ("dtype", "state_dtype") if kind in a]
    strides = [k for k in a if k.endswith("_stride")]
    names = list(a)
    rows = [a[names[names.index(stride) - 1]] for stride in strides]
    if name == "lstm_gates_backward":
        rows.append(a["activations"])
    wide = max(map(vector_width, types))
    vectors = all(aligned(t) for t in rows) and all(n % wide == 0 for n in (a["size"], *(a[s] for s in strides)))
    used = wide if vectors else 1
    units = a["rows"] * a["size"]
    moved = {k: n * units * a[k].element_size() for k, n in CELLS[name].items() if a[k] is not None}
    kernel = name.removesuffix("_forward") + "_kernel"
    instance = f"{kernel}<{', '.join([str(used), *(TYPES[t] for t in types)])}>"
    grid = (ceil_div(a["rows"] * ceil_div(a["size"], used), ELEMENTWISE_THREADS),)
    return [Kernel(f"{name.partition('_')[0]}_cell", instance, grid, 0, moved)]


LAUNCHES: dict[str, Callable[[Arguments], list[Kernel]]] = {
    "attend_forward": attend_forward,
    "attend_backward_weights": attend_backward_weights,
    "attend_backward_softmax": attend_backward_softmax,
    "attend_backward_values": attend_backward_values,
    "key_exponentials": key_exponentials,
    "additive_score_forward": additive_score_forward,
    "additive_score_backward": additive_score_backward,
    **{name: functools.partial(cell, name) for name in CELLS},
}
