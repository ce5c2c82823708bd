"""How often the Triton kernels ask for each of their arguments; `passes` says how bytes are counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from benchmarks.gpu_report.tensors import size_of

Times = dict[str, float]


def _attend_tile(a: Mapping, programs: int) -> Times:
    queries, tiles = a["Tq"], a["tiles"]
    return {
        **_keys(a, queries), "values": queries, "projected": queries, "query": tiles, "query_bias": programs,
        "v": programs, "in_range": queries * tiles, "lengths": queries * tiles, "mask": queries,
    }  # fmt: skip


def _keys(a: Mapping, times: float) -> Times:
    """Stored exponentials are read in place of the keys, or the keys themselves."""
    return {"exponentials": times if a["STORED"] else 0, "keys": 0 if a["STORED"] else times}


def _score_rows(a: Mapping, programs: int) -> Times:
    tiles = a["tiles"]
    return {**_keys(a, a["Tq"]), "query": tiles, "v": 2 * programs, "in_range": a["Tq"] * tiles}


def _combine(a: Mapping, programs: int) -> Times:
    return {"weights": 2, "maxima": 3 * a["blocks"], "sums": a["blocks"]}


def _weights_gradient(a: Mapping, programs: int) -> Times:
    return {"grad_context": a["tiles"], "lengths": a["tiles"]}


def _score_gradient(a: Mapping, programs: int) -> Times:
    chunks, splits = a["chunks"], a["splits"]
    return {
        **_keys(a, 1), "query": splits, "v": programs / chunks, "slopes": chunks, "weights": chunks,
        "deltas": chunks * splits, "lengths": chunks * splits, "in_range": chunks * splits,
    }  # fmt: skip


def _score_tiles(a: Mapping, programs: int) -> Times:
    return {
        "query": 0, "keys": 0, "query_exponentials": a["key_tiles"], "exponentials": a["query_tiles"], "v": programs,
    }  # fmt: skip


def _softmax_rows(a: Mapping, programs: int) -> Times:
    return {"scores": 2, "lengths": a["Tq"], "mask": 2 * a["Tq"]}


def _softmax_rows_backward(a: Mapping, programs: int) -> Times:
    return {"scores": 2, "weights": 2, "slopes": 3, "grad_weights": 2, "lengths": a["Tq"], "mask": 2 * a["Tq"]}


def _unit_gradients(a: Mapping, programs: int) -> Times:
    tiles, chunks = a["row_tiles"], a["chunks"]
    return {
        "rows": 0, "others": 0, "other_exponentials": tiles, "slopes": chunks, "v": programs / chunks,
        "gradient": 2 if a["ACCUMULATE"] else 1,
    }  # fmt: skip


def _decoder_cell(a: Mapping, programs: int) -> Times:
    rows = programs / a["blocks"]
    return {"bias_ih": rows, "bias_hh": rows, "maxima": 5 * a["blocks"], "sums": a["blocks"]}


# How often a launch moves an argument; once where nothing is said.
TIMES: dict[str, Callable[[Mapping, int], Times]] = {
    "one_query._attend_tile_kernel": _attend_tile,
    "additive_score._score_rows_kernel": _score_rows,
    "combine._combine_kernel": _combine,
    "one_query_backward._weights_gradient_kernel": _weights_gradient,
    "one_query_backward._score_gradient_kernel": _score_gradient,
    "many_queries._score_tiles_kernel": _score_tiles,
    "many_queries._softmax_rows_kernel": _softmax_rows,
    "many_queries_backward._softmax_rows_backward_kernel": _softmax_rows_backward,
    "many_queries_backward._unit_gradients_kernel": _unit_gradients,
    "decoder_cells._cell_kernel": _decoder_cell,
}


def moved(name: str, grid: tuple[int, ...], arguments: Mapping[str, Any]) -> Mapping[str, float]:
    """Bytes that a launch of a kernel moves, by argument."""
    times = TIMES[name](arguments, math.prod(grid)) if name in TIMES else {}
    return {name: size_of(value) * times.get(name, 1) for name, value in arguments.items() if isinstance(value, Tensor)}
