"""The operators through the triton backend against float64 truth, outputs and every gradient.

Tensors are on the CPU: the kernels run in Triton's interpreter, or as the PTX that is generated for them.
"""

from __future__ import annotations

import pytest
import torch

import seq2seq_fast
from tests.support.cases import AttentionCase, DecoderCase, attention_case, run_decoder
from tests.support.truth import assert_near, double, gradients, score_error

DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def proved(*values):
    """Values of a parameter whose tests belong to the long proofs."""
    return pytest.param(*values, marks=pytest.mark.prove)


def quick_first(values):
    """The first value in every run, the others in the long proofs."""
    return [values[0], *(proved(value) for value in values[1:])]


def attention(case: AttentionCase, backend: str, need_weights: bool = True):
    def function(query, keys, values, v):
        return seq2seq_fast.additive_attention(
            query, keys, values, v, lengths=case.lengths, mask=case.mask, need_weights=need_weights, backend=backend
        )

    return function


def score(case: AttentionCase, backend: str):
    def function(query, keys, values, v):
        memory = seq2seq_fast.attention_memory(keys, values)
        return [seq2seq_fast.additive_score(query, memory, v, backend=backend)]

    return function


def assert_attention(case: AttentionCase, need_weights: bool = True) -> None:
    _assert_like_reference(attention(case, "triton", need_weights), attention(case, "reference", need_weights), case)


def assert_score(case: AttentionCase) -> None:
    _assert_like_reference(score(case, "triton"), score(case, "reference"), case)


def _assert_like_reference(function, reference, case: AttentionCase) -> None:
    found, found_grads = gradients(function, case.differentiable)
    truth, true_grads = gradients(reference, double(case.differentiable))
    error = 4 * score_error(case.v)
    for name, a, b in zip(("first output", "weights"), found, truth, strict=False):
        assert_near(a, b, error=error, roundings=2, name=name)
    for name, a, b in zip(("query", "keys", "values", "v"), found_grads, true_grads, strict=True):
        assert_near(a, b, error=8 * error, roundings=4, name=f"gradient of {name}")


def assert_cell(call, tensors, error: float = 2e-6) -> None:
    """``call(backend)`` is a function of the tensors."""
    found, found_grads = gradients(call("triton"), tensors)
    truth, true_grads = gradients(call("reference"), double(tensors))
    for a, b in zip((*found, *found_grads), (*truth, *true_grads), strict=True):
        assert_near(a, b, error=error, roundings=4)


def assert_decoder(case: DecoderCase, error: float = 3e-5, roundings: int = 12) -> None:
    names = [name for name, t in case.tensors.items() if t is not None]
    tensors = list(case.tensors.values())
    found, grads = gradients(lambda *t: run_decoder(t, case.options, "triton"), tensors)
    wide = {k: v.double() if torch.is_tensor(v) and v.is_floating_point() else v for k, v in case.options.items()}
    truth, true_grads = gradients(lambda *t: run_decoder(t, wide, "reference"), double(tensors))
    for name, a, b in zip(("states", "contexts", "weights", "final state", "final cell"), found, truth, strict=False):
        assert_near(a, b, error=error, roundings=roundings, name=name)
    for name, a, b in zip(names, grads, true_grads, strict=True):
        assert_near(a, b, error=4 * error, roundings=2 * roundings, name=f"gradient of {name}")


def cancelling_case(queries: int | None, scale: float, dtype: torch.dtype = torch.float32) -> AttentionCase:
    """Arguments far beyond the exponentials' range, and pairs that cancel there: tanh(0)."""
    case = attention_case(2, queries, 11, 13, 9, dtype=dtype)
    with torch.no_grad():
        case.query.mul_(scale)
        case.keys.mul_(scale)
        case.keys[:, 0] = -case.query if queries is None else -case.query[:, 0]
    return case
