import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast import additive_score, attention_memory
from tests.support.cases import AttentionCase, attention_case, attention_cases, misplaced
from tests.support.engines import DTYPES, ENGINES, FUSED, dtype_name
from tests.support.truth import assert_near, double, gradients, score_error


def scores(case, backend):
    def function(query, keys, values, v):
        memory = attention_memory(keys, values, lengths=case.lengths, mask=case.mask)
        found = additive_score(query, memory, v, backend=backend)
        return [found if memory.attended is None else found.nan_to_num(neginf=0.0)]

    return function


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
@given(data=st.data())
def test_scores_and_gradients_match_float64_truth(engine, dtype, data):
    if engine.lacks(dtype):
        return
    assert_true(data.draw(attention_cases(dtype=dtype, device=engine.device)), engine)


def assert_true(case, engine):
    dtype = case.query.dtype
    (found,), grads = gradients(scores(case, engine.backend), case.differentiable)
    (truth,), true_grads = gradients(scores(case, "reference"), double(case.differentiable))
    allowed = score_error(case.v) + torch.finfo(dtype).eps * float(truth.detach().abs().max() if truth.numel() else 0)
    assert found.shape == truth.shape
    assert truth.numel() == 0 or float((found.detach().cpu().double() - truth.detach()).abs().max()) <= allowed
    for name, a, b in zip(("query", "keys", "values", "v"), grads, true_grads, strict=True):
        assert_near(a, b, error=8 * score_error(case.v), roundings=4, name=name)


@pytest.mark.parametrize("engine", FUSED, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=dtype_name)
@pytest.mark.parametrize("queries", [None, 5])
def test_tensors_at_any_address_match_truth(engine, dtype, queries):
    case = attention_case(2, queries, 9, 32, 16, dtype=dtype, device=engine.device)
    assert_true(AttentionCase(*map(misplaced, case.differentiable), None, None), engine)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_masked_positions_score_minus_infinity(engine):
    case = attention_case(2, None, 4, 5, 3, device=engine.device, lengths=[4, 2])
    memory = attention_memory(case.keys, case.values, lengths=case.lengths)
    found = additive_score(case.query, memory, case.v, backend=engine.backend)
    assert torch.equal(found.isneginf().cpu(), torch.tensor([[False] * 4, [False, False, True, True]]))


@pytest.mark.parametrize("engine", [e for e in ENGINES if e.serves(torch.float64)], ids=str)
@pytest.mark.parametrize("queries", [None, 3])
def test_gradcheck_and_gradgradcheck(engine, queries):
    case = attention_case(2, queries, 4, 3, 2, dtype=torch.float64, device=engine.device)
    case.values.requires_grad_(False)
    assert torch.autograd.gradcheck(scores(case, engine.backend), case.differentiable)
    assert torch.autograd.gradgradcheck(scores(case, engine.backend), case.differentiable)


def test_a_memory_is_asked_for_by_name():
    with pytest.raises(TypeError, match="memory must be an AttentionMemory"):
        additive_score(torch.zeros(2, 3), torch.zeros(2, 4, 3), torch.zeros(3))
