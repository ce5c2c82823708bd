"""Bytes that a launch moves, and the least that its part of an operator could.

`bytes` counts what programs ask of the memory system, each byte once a program: what two programs read counts twice,
though the second may find it in the cache. `least_bytes` counts each tensor of the operator that the kernel reads or
writes once; what kernels hand to each other counts as nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from torch import Tensor

from benchmarks.gpu_cuda import CudaLaunch
from benchmarks.gpu_launches import Launch

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


def size_of(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def storage_of(tensor: Tensor) -> int:
    """What two views of one tensor have in common, as long as it lives."""
    return tensor.untyped_storage()._cdata


def moved(launch: Launch | CudaLaunch) -> Mapping[str, float]:
    """Bytes that a launch moves, by argument."""
    if isinstance(launch, CudaLaunch):
        return launch.moved
    programs = 1
    for extent in launch.grid:
        programs *= extent
    times = TIMES[launch.name](launch.arguments, programs) if launch.name in TIMES else {}
    return {
        name: size_of(value) * times.get(name, 1)
        for name, value in launch.arguments.items()
        if isinstance(value, Tensor)
    }


def least(launch: Launch | CudaLaunch, operator: Iterable[Tensor]) -> int:
    """Bytes of the operator's own tensors that a launch touches, each once."""
    own = {storage_of(tensor) for tensor in operator}
    asked = moved(launch)
    touched = {
        (storage_of(value), value.storage_offset()): min(size_of(value), round(asked[name]))
        for name, value in launch.arguments.items()
        if isinstance(value, Tensor) and asked[name] and storage_of(value) in own
    }
    return sum(touched.values())
