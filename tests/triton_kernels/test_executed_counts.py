"""How many instructions of each kind the generated code of a kernel's inner loop executes, exactly.

A kernel runs at two sizes; what the larger one executes beyond the smaller, over what it has more to do, is the loop's
own, prologue and epilogue left out. Sizes are whole tiles, so nothing is executed for padding.
"""

from __future__ import annotations

import pytest
import torch

import seq2seq_fast
from seq2seq_fast.triton_kernels import launch
from tests.support.engines import dtype_name
from tests.support.ptx import LaunchReport
from tests.triton_kernels.launches import Executed, executed

pytestmark = [pytest.mark.prove, pytest.mark.usefixtures("generated_code_serves_cpu_tensors")]
KINDS = {
    "special": ("rcp", "ex2", "lg2", "sqrt"),
    "fused": ("fma.rn.f32",),
    "products": ("mul.f32", "mul.rn.f32"),
    "sums": ("add.f32", "sub.f32"),
    "shuffles": ("shfl",),
}
MEMORY = {"read": ("ld.global", "cp.async"), "written": ("st.global",)}
# The pieces of work: a unit is a query, a position and an attention unit; a value, a weight and a key are entries.
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
        "attend, a value": {"products": 1.0, "sums": 3.0, "shuffles": 2.5, "read": 2.0, "written": 0.03125},
        "gradient of weights, a value": {"fused": 1.0, "products": 1.0, "read": 3.0, "written": 2.0},
        "gradient of scores, a unit": {
            "special": 1.5, "fused": 7.0, "products": 7.125, "sums": 1.125, "read": 3.00390625, "written": 2.0,
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
# Bytes of global memory, read and written.
MANY_QUERIES_MEMORY = {
    torch.float32: [(4.0, 4 + 1 / 2048), (0.640625, 0), (8.0, 8.0), (24.0, 8.0), (0.3125, 0), (0.3125, 0)],
    torch.bfloat16: [(2.0, 4 + 1 / 2048), (0.6328125, 0), (8.0, 6.0), (20.0, 6.0), (0.3125, 0), (0.3125, 0)],
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
    more = {kind: large.threads(*opcodes) - small.threads(*opcodes) for kind, opcodes in KINDS.items()}
    more |= {kind: large.bytes(*opcodes) - small.bytes(*opcodes) for kind, opcodes in MEMORY.items()}
    return {kind: count / work for kind, count in more.items() if count}


def counts(small: Executed, large: Executed, kernel: str, work: int, place: int = 0) -> dict[str, float]:
    return beyond(small.reports(kernel)[place], large.reports(kernel)[place], work)


@pytest.mark.parametrize("dtype", ONE_QUERY, ids=dtype_name)
def test_one_query(monkeypatch, dtype):
    of_source = launch.score_gradient
    monkeypatch.setattr(launch, "score_gradient", lambda *shape: (of_source(*shape)[0], (1, shape[1])))
    sizes = [(64, 128, 128), (64, 256, 128), (64, 128, 256), (128, 128, 128)]
    small, units, columns, positions = (attention(1, *shape, dtype) for shape in sizes)
    assert {
        "attend, a unit": counts(small, units, "._attend_tile_kernel", 64 * 128),
        "attend, a value": counts(small, columns, "._attend_tile_kernel", 64 * 128),
        "gradient of weights, a value": counts(small, columns, "._weights_gradient_kernel", 64 * 128),
        "gradient of scores, a unit": counts(small, positions, "._score_gradient_kernel", 64 * 128),
    } == ONE_QUERY[dtype]


@pytest.mark.parametrize("dtype", MANY_QUERIES_MEMORY, ids=dtype_name)
def test_many_queries(dtype):
    sizes = [(16, 64, 64), (16, 64, 128), (16, 128, 64), (32, 64, 64)]
    small, units, positions, queries = (attention(*shape, 16, dtype) for shape in sizes)
    triples = 16 * 64 * 64
    found = {
        "exponentials, a key": counts(small, units, "._exponentials_kernel", 64 * 64),
        "scores, a unit": counts(small, units, "._score_tiles_kernel", triples),
        "softmax, a weight": counts(small, positions, "._softmax_rows_kernel", 16 * 64),
        "gradient of softmax, a weight": counts(small, positions, "._softmax_rows_backward_kernel", 16 * 64),
        "gradient of queries, a unit": counts(small, positions, "._unit_gradients_kernel", triples),
        "gradient of keys, a unit": counts(small, queries, "._unit_gradients_kernel", triples, place=1),
    }
    memory = [(mix.pop("read"), mix.pop("written", 0)) for mix in found.values()]
    assert (found, memory) == (MANY_QUERIES, MANY_QUERIES_MEMORY[dtype])
