"""Lengths and masks that are given when attending, for a source or for each of its queries."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast import additive_attention, additive_score, attend, attention_memory
from tests.support.cases import attention_case
from tests.support.engines import ENGINES
from tests.support.truth import assert_near, double, gradients, score_error


@st.composite
def limits(draw, batch, queries, source):
    """Lengths and a mask of every layout that attend takes, either of them None at times."""
    seed = draw(st.integers(0, 2**16))
    generator = torch.Generator().manual_seed(seed)
    lengths = draw(st.sampled_from([None, (batch,), (batch, queries)]))
    mask = draw(st.sampled_from([None, (batch, source), (batch, 1, source), (batch, queries, source)]))
    return (
        None if lengths is None else torch.randint(0, source + 1, lengths, generator=generator),
        None if mask is None else torch.rand(mask, generator=generator) < 0.6,
    )


def attended(case, lengths, mask, queries):
    """[B, Tq, Tx] of the memory's limits and the call's, by the definition."""
    batch, source, _ = case.keys.shape
    positions = torch.arange(source)
    found = torch.ones(batch, queries, source, dtype=torch.bool)
    if case.lengths is not None:
        found &= (positions < case.lengths.cpu()[:, None])[:, None]
    if case.mask is not None:
        found &= case.mask.cpu()[:, None]
    if lengths is not None:
        found &= positions < (lengths[:, None, None] if lengths.dim() == 1 else lengths[:, :, None])
    if mask is not None:
        found &= mask[:, None] if mask.dim() == 2 else mask
    return found


def truth(query, keys, values, v, attended):
    scores = torch.tanh(query.unsqueeze(2) + keys.unsqueeze(1)) @ v
    weights = torch.softmax(scores.masked_fill(~attended, -1e300), dim=-1) * attended
    return torch.bmm(weights, values), weights


def on(device, *tensors):
    return [None if tensor is None else tensor.to(device) for tensor in tensors]


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@given(data=st.data())
def test_outputs_and_gradients_match_float64_truth(engine, data):
    batch, queries, source = data.draw(st.sampled_from([(1, 1, 1), (2, 1, 5), (3, 4, 6)]))
    own = data.draw(st.sampled_from([None, [source] + [max(source - 2, 1)] * (batch - 1)]))
    case = attention_case(batch, queries, source, 7, 5, device=engine.device, lengths=own)
    lengths, mask = data.draw(limits(batch, queries, source))
    where = attended(case, lengths, mask, queries)

    def found(query, keys, values, v):
        memory = attention_memory(keys, values, lengths=case.lengths, mask=case.mask)
        given_lengths, given_mask = on(engine.device, lengths, mask)
        return attend(query, memory, v, lengths=given_lengths, mask=given_mask, backend=engine.backend)

    outputs, grads = gradients(found, case.differentiable)
    wanted, true_grads = gradients(lambda *tensors: truth(*tensors, where), double(case.differentiable))
    error = score_error(case.v)
    for name, a, b in zip(("context", "weights"), outputs, wanted, strict=True):
        assert_near(a, b, error=4 * error, roundings=4, name=name)
    for name, a, b in zip(("query", "keys", "values", "v"), grads, true_grads, strict=True):
        assert_near(a, b, error=16 * error, roundings=8, name=name)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_a_causal_call_sees_what_is_there_so_far(engine):
    case = attention_case(2, 4, 4, 7, 5, device=engine.device)
    memory = attention_memory(case.keys, case.values)
    lengths = torch.arange(1, 5, device=engine.device).expand(2, 4)
    _, weights = attend(case.query, memory, case.v, lengths=lengths, backend=engine.backend)
    assert torch.equal(weights > 0, torch.ones(4, 4, dtype=torch.bool, device=engine.device).tril().expand(2, 4, 4))


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_scores_are_masked_by_what_the_call_gives(engine):
    case = attention_case(2, 3, 4, 5, 3, device=engine.device, lengths=[4, 2])
    memory = attention_memory(case.keys, case.values, lengths=case.lengths)
    mask = torch.rand(2, 3, 4) < 0.5
    found = additive_score(case.query, memory, case.v, mask=mask.to(engine.device), backend=engine.backend)
    assert torch.equal(~found.isneginf().cpu(), mask & (torch.arange(4) < torch.tensor([4, 2])[:, None])[:, None])


def test_limits_of_a_whole_source_keep_padding_out_of_every_product():
    case = attention_case(2, 3, 4, 5, 3)
    keys, values = case.keys.detach().clone(), case.values.detach().clone()
    keys[:, 3], values[:, 3] = torch.nan, torch.inf
    context, _ = additive_attention(case.query, keys, values, case.v, lengths=[3, 3], mask=torch.ones(2, 1, 4) > 0)
    assert context.isfinite().all()


@pytest.mark.parametrize(
    "lengths", [[2, 3], (2, 3), np.array([2, 3]), torch.tensor([2, 3], dtype=torch.int32)], ids=type
)
def test_lengths_may_be_a_list_a_tuple_or_an_array(lengths):
    case = attention_case(2, None, 4, 5, 3)
    wanted = additive_attention(*case.differentiable, lengths=torch.tensor([2, 3]))[1]
    assert torch.equal(additive_attention(*case.differentiable, lengths=lengths)[1], wanted)
    memory = attention_memory(case.keys, case.values)
    assert torch.equal(attend(case.query, memory, case.v, lengths=lengths)[1], wanted)


@pytest.mark.parametrize(
    ("limit", "error", "says"),
    [
        ({"lengths": torch.tensor([0.5, 1.0])}, TypeError, r"\(lengths \* 4\)\.round\(\)\.long\(\)"),
        ({"lengths": torch.tensor([True, False])}, TypeError, "give a mask as mask="),
        ({"lengths": torch.tensor([5, 1])}, ValueError, "between 0 and the source's 4 positions"),
        ({"lengths": torch.ones(2, 2, dtype=torch.long)}, ValueError, r"\[B, Tq\] = \[2, 3\]"),
        ({"lengths": "ab"}, TypeError, "lengths must be integers"),
        ({"mask": torch.ones(2, 2, 4) > 0}, ValueError, r"\[B, Tq, Tx\] = \[2, 3, 4\]; got shape \(2, 2, 4\)"),
        ({"mask": torch.ones(2, 4)}, TypeError, "True where a position may be attended"),
        ({"mask": [[True]]}, TypeError, "mask must be a boolean tensor"),
    ],
)
def test_a_wrong_limit_is_named_with_what_to_write_instead(limit, error, says):
    case = attention_case(2, 3, 4, 5, 3)
    memory = attention_memory(case.keys, case.values)
    with pytest.raises(error, match=says):
        attend(case.query, memory, case.v, **limit)
