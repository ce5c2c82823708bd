import pytest
import torch

import seq2seq_fast
from tests.support.cases import attention_case
from tests.support.engines import ENGINES
from tests.support.truth import assert_near, double, score_error

NAMES = ("query", "keys", "values", "v")


def attention(case, backend, need_weights=True):
    def function(query, keys, values, v):
        lengths, mask = case.lengths, case.mask
        if query.device.type == "cpu":
            lengths, mask = (None if t is None else t.cpu() for t in (lengths, mask))
        return seq2seq_fast.additive_attention(
            query, keys, values, v, lengths=lengths, mask=mask, need_weights=need_weights, backend=backend
        )

    return function


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("queries", [None, 5])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf"), 3e38])
def test_non_finite_values_reach_their_rows_and_no_others(engine, queries, bad):
    case = attention_case(4, queries, 6, 19, 9, device=engine.device)
    clean = seq2seq_fast.additive_attention(*case.differentiable, backend=engine.backend)
    with torch.no_grad():
        case.keys[1, 2, 3] = bad
        case.query[(2, 4) if queries is None else (2, 1, 4)] = bad
    context, weights = seq2seq_fast.additive_attention(*case.differentiable, backend=engine.backend)
    truth = seq2seq_fast.additive_attention(*double(case.differentiable), backend="reference")
    assert_near(context, truth[0], error=4 * score_error(case.v), name="context")
    assert_near(weights, truth[1], error=4 * score_error(case.v), name="weights")
    for source in (0, 3):
        assert torch.equal(context[source], clean[0][source])


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_a_batch_gives_what_its_sentences_give_and_more_padding_changes_nothing(engine):
    lengths = [6, 1, 4]
    case = attention_case(3, 4, 6, 33, 17, device=engine.device, lengths=lengths)
    context, weights = attention(case, engine.backend)(*case.differentiable)
    for row, length in enumerate(lengths):
        alone = seq2seq_fast.additive_attention(
            case.query[row : row + 1], case.keys[row : row + 1, :length], case.values[row : row + 1, :length], case.v,
            backend=engine.backend,
        )  # fmt: skip
        assert_near(context[row : row + 1], alone[0].double(), error=score_error(case.v))
        assert_near(weights[row : row + 1, :, :length], alone[1].double(), error=score_error(case.v))


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("queries", [None, 5])
def test_strided_and_expanded_inputs_give_the_same(engine, queries):
    case = attention_case(4, queries, 6, 9, 7, device=engine.device)
    wanted = attention(case, engine.backend)(*case.differentiable)
    strided = [t.detach().flip(0).contiguous().flip(0) for t in case.differentiable]
    strided[1] = strided[1].transpose(1, 2).contiguous().transpose(1, 2)
    strided[2] = torch.stack([strided[2], strided[2]], dim=-1)[..., 0]
    strided[3] = torch.stack([strided[3], strided[3]], dim=-1)[..., 0]
    expanded = [case.query[:1].expand_as(case.query), case.keys[:1].expand_as(case.keys), case.values, case.v]
    copied = [t.detach().clone().contiguous() for t in expanded]
    from_copies = attention(case, engine.backend)(*copied)
    for inputs, outputs in ((strided, wanted), (expanded, from_copies)):
        for a, b in zip(attention(case, engine.backend)(*inputs), outputs, strict=True):
            assert_near(a, b.double(), error=score_error(case.v))


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_a_constant_added_to_every_score_changes_no_weight(engine):
    """Softmax is shift invariant: a unit that saturates for every key adds the same to every score."""
    case = attention_case(2, 3, 5, 8, 4, device=engine.device)
    with torch.no_grad():
        case.keys[..., 0] = 30.0
    context, weights = attention(case, engine.backend)(*case.differentiable)
    with torch.no_grad():
        case.v[0] += 5.0
    shifted = attention(case, engine.backend)(*case.differentiable)
    assert_near(weights, shifted[1].double(), error=4 * score_error(case.v))
    assert_near(context, shifted[0].double(), error=4 * score_error(case.v))


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_autocast_gives_its_dtype_and_float32_gradients(engine):
    case = attention_case(2, 3, 5, 8, 4, device=engine.device)
    with torch.autocast(engine.device, dtype=torch.bfloat16):
        context, weights = attention(case, engine.backend)(*case.differentiable)
    assert context.dtype == weights.dtype == torch.bfloat16
    truth = attention(case, "reference")(*double(case.differentiable))
    assert_near(context, truth[0], error=0.03)
    context.float().sum().backward()
    assert all(t.grad.dtype == torch.float32 for t in case.differentiable)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"query": torch.zeros(3, 8)}, ValueError, r"query must be \[B, A\] = \[2, 8\]; got shape \(3, 8\)"),
        ({"query": torch.zeros(8)}, ValueError, r"query must have 3 dimensions, \[B, A\] or \[B, Tq, A\]"),
        ({"query": torch.zeros(2, 8, dtype=torch.float64)}, TypeError, "query must have the dtype of keys"),
        ({"query": None}, TypeError, "query must be a tensor"),
        ({"keys": torch.zeros(2, 5)}, ValueError, r"keys must have 3 dimensions, \[B, Tx, A\]"),
        ({"keys": torch.zeros(2, 5, 8, dtype=torch.int64)}, TypeError, "keys must be floating point"),
        ({"values": torch.zeros(2, 4, 3)}, ValueError, r"values must be \[B, Tx, D\] = \[2, 5, any\]"),
        ({"v": torch.zeros(7)}, ValueError, r"v must be \[A\] = \[8\]"),
        ({"v": torch.zeros(8, device="meta")}, ValueError, "v must be on the device of keys"),
        ({"lengths": torch.tensor([5, 6])}, ValueError, "lengths must lie between 0 and the source's 5 positions"),
        ({"lengths": torch.tensor([-1, 2])}, ValueError, "lengths must lie between 0"),
        ({"lengths": torch.tensor([1.0, 2.0])}, TypeError, "lengths must be integers"),
        ({"lengths": torch.tensor([1, 2, 3])}, ValueError, r"lengths must be \[B\] = \[2\]"),
        ({"mask": torch.ones(2, 5)}, TypeError, "mask must be boolean"),
        ({"mask": torch.ones(2, 6, dtype=torch.bool)}, ValueError, r"mask must be \[B, Tx\] = \[2, 5\]"),
        ({"backend": "fast"}, ValueError, "backend='fast' is unknown; there are 'reference'"),
    ],
)
def test_bad_arguments_are_named_with_what_was_given_and_what_is_wanted(change, error, message):
    arguments = {
        "query": torch.zeros(2, 8), "keys": torch.zeros(2, 5, 8), "values": torch.zeros(2, 5, 3), "v": torch.zeros(8),
    }  # fmt: skip
    with pytest.raises(error, match=message):
        seq2seq_fast.additive_attention(**(arguments | change))
