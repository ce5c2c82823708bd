"""How many instructions of each kind the generated code of a kernel's inner loop executes, exactly.

A kernel runs at two sizes; what the larger one executes beyond the smaller, over what it has more to do, is the loop's
own, prologue and epilogue left out. Sizes are whole tiles, so nothing is executed for padding.
"""

from __future__ import annotations

import pytest
import torch

import seq2seq_fast
from seq2seq_fast.triton_kernels import additive_score, launch
from tests.emulators.ptx import LaunchReport
from tests.support.engines import dtype_name
from tests.triton_kernels.cell_counts import CELLS, DECODERS
from tests.triton_kernels.counting import every_kernel, found
from tests.triton_kernels.launches import Executed, executed

pytestmark = pytest.mark.usefixtures("generated_code_serves_cpu_tensors")
# The pieces of work that are counted, and whose they are. A unit is a query, a position and an attention unit; a value,
# a weight and a key are entries.
PIECES = {
    "attend, a unit": "one_query._attend_tile_kernel",
    "attend, a value": "one_query._attend_tile_kernel",
    "gradient of weights, a value": "one_query_backward._weights_gradient_kernel",
    "gradient of scores, a unit": "one_query_backward._score_gradient_kernel",
    "scores alone, a unit": "additive_score._score_rows_kernel",
    "exponentials, a key": "key_exponentials._exponentials_kernel",
    "scores, a unit": "many_queries._score_tiles_kernel",
    "softmax, a weight": "many_queries._softmax_rows_kernel",
    "gradient of softmax, a weight": "many_queries_backward._softmax_rows_backward_kernel",
    "gradient of queries, a unit": "many_queries_backward._unit_gradients_kernel",
    "gradient of keys, a unit": "many_queries_backward._unit_gradients_kernel",
}
ONE_QUERY = {
    torch.float32: {
        "attend, a unit": {"special": 1.0, "fused": 2.25, "products": 2.0, "sums": 0.25, "read": 6.25},
        "attend, a value": {"products": 1.0, "sums": 1.5, "shuffles": 0.75, "read": 4.0, "written": 0.125},
        "gradient of weights, a value": {"fused": 1.0, "products": 1.0, "read": 5.0, "written": 4.0},
        "gradient of scores, a unit": {
            "special": 0.5, "fused": 4.0, "products": 4.25, "sums": 1.25, "read": 6.0078125, "written": 4.0,
        },
    },
    torch.bfloat16: {
        "attend, a unit": {"special": 2.5, "fused": 5.5, "products": 6.0, "sums": 0.5, "read": 4.125},
        "attend, a value": {"products": 1.0, "sums": 2.5, "shuffles": 2.0, "read": 2.0, "written": 0.125},
        "gradient of weights, a value": {"fused": 1.0, "products": 1.0, "read": 3.0, "written": 2.0},
        "gradient of scores, a unit": {
            "special": 1.5, "fused": 7.0, "products": 7.125, "sums": 1.125, "read": 3.0078125, "written": 2.0,
        },
    },
}  # fmt: skip
MANY_QUERIES = {
    "exponentials, a key": {"special": 2.0, "fused": 1.0, "products": 3.0, "sums": 1.0},
    "scores, a unit": {"special": 0.5, "fused": 1.75, "products": 1.25, "sums": 0.25},
    "softmax, a weight": {"special": 3.0, "fused": 1.0, "products": 4.0, "sums": 3.0},
    "gradient of softmax, a weight": {"fused": 1.0, "products": 1.0, "sums": 3.0},
    "gradient of queries, a unit": {"special": 0.5, "fused": 2.5, "products": 2.5, "sums": 0.5},
    "gradient of keys, a unit": {"special": 0.5, "fused": 2.0, "products": 3.5, "sums": 1.0625, "shuffles": 0.046875},
}
# Two units to a reciprocal. Of a tile's 32 positions a thread has four, or two of 16 bits; each has its share of the
# query's exponential, of the constant sum(v), and of reading query and v. A key's exponential of 16 bits is its own.
SCORES = {
    torch.float32: {
        "special": 1 / 2 + 2 / 4, "fused": 2 + 1 / 4, "products": 1 + 4 / 4, "sums": 5 / 16, "read": 4 + 5 / 2,
    },
    torch.bfloat16: {
        "special": 3 / 2 + 2 / 2, "fused": 5 + 1 / 2, "products": 4 + 4 / 2, "sums": 9 / 16, "read": 2 + 9 / 4,
    },
}  # fmt: skip
# Bytes of global memory, read and written.
MANY_QUERIES_MEMORY = {
    torch.float32: [(4.0, 4 + 1 / 512), (0.640625, 0), (8.0, 8.0), (24.0, 8.0), (0.3125, 0), (0.3125, 0)],
    torch.bfloat16: [(2.0, 4 + 1 / 512), (0.6328125, 0), (8.0, 6.0), (24.0, 6.0), (0.3125, 0), (0.3125, 0)],
}


def attention(queries: int, positions: int, units: int, size: int, dtype: torch.dtype) -> Executed:
    """Forward and backward of one source."""
    shapes = (1, queries, units), (1, positions, units), (1, positions, size), (units,)
    tensors = [(torch.randn(shape) * 0.3).to(dtype).requires_grad_() for shape in shapes]
    with executed() as done:
        context, weights = seq2seq_fast.additive_attention(*tensors, backend="triton")
        torch.autograd.grad([context.sum() + weights.sum()], tensors)
    return done


def beyond(small: LaunchReport, large: LaunchReport, work: int) -> dict[str, float]:
    """Instructions, and bytes of global memory that threads ask for, in one piece of ``work`` more."""
    more, less = found(large), found(small)
    return {kind: (count - less[kind]) / work for kind, count in more.items() if count != less[kind]}


def counts(small: Executed, larger: dict[str, tuple[Executed, int]]) -> dict[str, dict[str, float]]:
    """For each piece what a larger run executes beyond the small one, which has so many pieces less."""
    found_counts = {}
    for piece, (large, work) in larger.items():
        launches = zip(small.reports(PIECES[piece]), large.reports(PIECES[piece]), strict=True)
        found_counts[piece] = beyond(*list(launches)[1 if piece == "gradient of keys, a unit" else 0], work)
    return found_counts


def test_every_kernel_has_its_counts():
    """Of loops here, of a cell's unit and of what programs do once in the tests of cells and of combining."""
    others = {name.split()[0] for name in (*CELLS, *DECODERS)} | {"combine._combine_kernel"}
    assert {*PIECES.values()} | others == every_kernel()


@pytest.mark.prove
@pytest.mark.parametrize("dtype", ONE_QUERY, ids=dtype_name)
def test_one_query(monkeypatch, dtype):
    of_source = launch.score_gradient
    monkeypatch.setattr(launch, "score_gradient", lambda *shape: (of_source(*shape)[0], (1, shape[1])))
    tile = 512 // dtype.itemsize
    sizes = [(64, tile, 128), (64, 2 * tile, 128), (64, tile, 256), (128, tile, 128)]
    small, units, columns, positions = (attention(1, *shape, dtype) for shape in sizes)
    larger = {
        "attend, a unit": (units, 64 * tile),
        "attend, a value": (columns, 64 * 128),
        "gradient of weights, a value": (columns, 64 * 128),
        "gradient of scores, a unit": (positions, 64 * tile),
    }
    assert counts(small, larger) == ONE_QUERY[dtype]


def scores(units: int, dtype: torch.dtype) -> Executed:
    query, keys, v = ((torch.randn(shape) * 0.3).to(dtype) for shape in ((1, 1, units), (1, 64, units), (units,)))
    with executed() as done:
        additive_score.additive_score_forward(query, keys, (2 * keys.float()).exp(), torch.tensor([True]), v)
    return done


@pytest.mark.prove
@pytest.mark.parametrize("dtype", SCORES, ids=dtype_name)
def test_scores_alone(dtype):
    tile = 1024 // dtype.itemsize
    larger = {"scores alone, a unit": (scores(2 * tile, dtype), 64 * tile)}
    assert counts(scores(tile, dtype), larger) == {"scores alone, a unit": SCORES[dtype]}


@pytest.mark.prove
@pytest.mark.parametrize("dtype", MANY_QUERIES_MEMORY, ids=dtype_name)
def test_many_queries(dtype):
    sizes = [(16, 64, 64), (16, 64, 128), (16, 128, 64), (32, 64, 64)]
    small, units, positions, queries = (attention(*shape, 16, dtype) for shape in sizes)
    triples = 16 * 64 * 64
    larger = {
        "exponentials, a key": (units, 64 * 64),
        "scores, a unit": (units, triples),
        "softmax, a weight": (positions, 16 * 64),
        "gradient of softmax, a weight": (positions, 16 * 64),
        "gradient of queries, a unit": (positions, triples),
        "gradient of keys, a unit": (queries, triples),
    }
    counted = counts(small, larger)
    memory = [(kinds.pop("read"), kinds.pop("written", 0)) for kinds in counted.values()]
    assert (counted, memory) == (MANY_QUERIES, MANY_QUERIES_MEMORY[dtype])


def test_a_tile_wholly_in_padding_computes_no_scores():
    query, keys, values, v = (torch.randn(*shape) for shape in ((1, 512), (1, 64, 512), (1, 64, 1024), (512,)))

    def special(length: int) -> int:
        with executed() as done, torch.no_grad():
            seq2seq_fast.additive_attention(
                query, keys, values, v, lengths=torch.tensor([length]), need_weights=False, backend="triton"
            )
        return sum(report.threads("rcp", "ex2") for report in done.reports("_attend_tile_kernel"))

    block = launch.one_query(1, 64, 512, 1024, 4, launch.ASSUMED_PROCESSORS)["BLOCK_T"]
    whole, half = special(64), special(block)
    assert block == 32 and half < 0.6 * whole
