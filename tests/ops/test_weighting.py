"""From scores to weights: other normalisations, a bias, clipping, dropout."""

import pytest
import torch

from seq2seq_fast import additive_score, attend, attention_memory
from tests.support.cases import attention_case
from tests.support.engines import DTYPES, ENGINES, dtype_name
from tests.support.truth import assert_near, double, gradients, score_error

PARTS = {
    "sigmoid": {"normalization": "sigmoid"},
    "sigmoid with a bias": {"normalization": "sigmoid", "bias": 0.7},
    "scores": {"normalization": "none"},
    "scores with a bias": {"normalization": "none", "bias": -1.5},
    "clipped": {"clip": 3.0},
    "clipped with a bias": {"clip": 0.5, "bias": 0.3},
    "clipped scores": {"clip": 10.0, "normalization": "none"},
}


def truth(query, keys, values, v, attended, normalization="softmax", bias=0.0, clip=None):
    scores = torch.tanh(query.unsqueeze(2) + keys.unsqueeze(1)) @ v + bias
    if clip is not None:
        scores = clip * torch.tanh(scores)
    if normalization == "none":
        weights = scores * attended
    else:
        of_scores = torch.exp if normalization == "softmax" else torch.sigmoid
        weights = of_scores(scores) * attended
        weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-300)
    return torch.bmm(weights, values), weights


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_outputs_and_gradients_match_float64_truth(engine, dtype, parts):
    if engine.lacks(dtype):
        return
    case = attention_case(3, 4, 6, 7, 5, dtype=dtype, device=engine.device, lengths=[6, 3, 0])
    attended = (torch.arange(6) < torch.tensor([6, 3, 0])[:, None])[:, None]

    def found(query, keys, values, v):
        memory = attention_memory(keys, values, lengths=case.lengths)
        bias = {"bias": torch.tensor(parts["bias"], dtype=dtype, device=engine.device)} if "bias" in parts else {}
        return attend(query, memory, v, **{**parts, **bias}, backend=engine.backend)

    given = {**parts, **({"bias": torch.tensor(parts["bias"], dtype=dtype).double()} if "bias" in parts else {})}
    outputs, grads = gradients(found, case.differentiable)
    wanted, true_grads = gradients(lambda *t: truth(*t, attended, **given), double(case.differentiable))
    error = score_error(case.v)
    for name, a, b in zip(("context", "weights"), outputs, wanted, strict=True):
        assert_near(a, b, error=8 * error, roundings=4, name=name)
    for name, a, b in zip(("query", "keys", "values", "v"), grads, true_grads, strict=True):
        assert_near(a, b, error=32 * error, roundings=8, name=name)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_the_bias_has_a_gradient(engine):
    case = attention_case(2, 3, 4, 5, 3, device=engine.device)
    memory = attention_memory(case.keys.detach(), case.values.detach())
    bias = torch.tensor([0.2], device=engine.device, requires_grad=True)

    def context(bias):
        return attend(case.query, memory, case.v, bias=bias, normalization="sigmoid", backend=engine.backend)[0].sum()

    context(bias).backward()
    step = 1e-2
    numeric = (context(bias.detach() + step) - context(bias.detach() - step)) / (2 * step)
    assert float(bias.grad) == pytest.approx(float(numeric), rel=2e-2)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_autocast_takes_the_bias_as_it_takes_v(engine):
    case = attention_case(2, 3, 4, 5, 3, device=engine.device)
    bias = torch.tensor([0.5], device=engine.device, requires_grad=True)
    with torch.autocast(engine.device, torch.bfloat16):
        memory = attention_memory(case.keys, case.values)
        options = {"normalization": "sigmoid", "backend": engine.backend}
        context, _ = attend(case.query, memory, case.v, bias=bias, **options)
    assert context.dtype == torch.bfloat16
    context.float().sum().backward()
    assert bias.grad is not None and bias.grad.dtype == torch.float32


def test_sigmoids_that_underflow_still_share_the_whole_weight():
    memory = attention_memory(torch.full((1, 4, 2), -9.0), torch.ones(1, 4, 3))
    context, weights = attend(torch.zeros(1, 2), memory, torch.full((2,), 500.0), normalization="sigmoid")
    assert torch.allclose(weights, torch.full((1, 4), 0.25)) and torch.allclose(context, torch.ones(1, 3))


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_dropout_is_repeated_by_the_seed_and_is_the_same_in_backward(engine):
    case = attention_case(2, 3, 40, 5, 3, device=engine.device)
    memory = attention_memory(case.keys, case.values)

    def drop(seed):
        torch.manual_seed(seed)
        return attend(case.query, memory, case.v, dropout=0.5, backend=engine.backend)

    context, weights = drop(1)
    assert torch.equal(weights, drop(1)[1]) and not torch.equal(weights, drop(2)[1])
    kept = attend(case.query, memory, case.v, backend=engine.backend)[1]
    dropped = weights == 0
    assert 0.3 < float(dropped.float().mean()) < 0.7
    assert torch.allclose(weights[~dropped], 2 * kept[~dropped])
    (grad,) = torch.autograd.grad(context[:, 0].sum(), memory.values)
    assert torch.equal(grad[..., 0] == 0, dropped[:, 0])


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_scores_are_clipped_before_they_are_masked(engine):
    case = attention_case(2, None, 4, 5, 3, device=engine.device, lengths=[4, 2])
    memory = attention_memory(case.keys, case.values, lengths=case.lengths)
    plain = additive_score(case.query, memory, case.v, backend=engine.backend)
    found = additive_score(case.query, memory, case.v, clip=10.0, backend=engine.backend)
    assert torch.equal(found.isneginf(), plain.isneginf())
    inside = ~plain.isneginf()
    assert torch.allclose(found[inside], 10 * torch.tanh(plain[inside]))


@pytest.mark.parametrize(
    ("part", "error", "says"),
    [
        ({"normalization": "sparsemax"}, ValueError, "normalization must be one of 'softmax', 'sigmoid', 'none'"),
        ({"clip": 0}, ValueError, "clip must be a positive number"),
        ({"clip": float("nan")}, ValueError, "clip must be a positive number"),
        ({"dropout": 1.0}, ValueError, "dropout must be a probability"),
        ({"dropout": "0.1"}, ValueError, "dropout must be a probability"),
        ({"bias": torch.zeros(2)}, ValueError, "bias must be"),
        ({"bias": torch.zeros((), dtype=torch.float64)}, TypeError, "bias must have the dtype of v"),
        ({"bias": 0.5}, TypeError, "bias must be a tensor"),
    ],
)
def test_a_wrong_part_is_named(part, error, says):
    case = attention_case(2, 3, 4, 5, 3)
    with pytest.raises(error, match=says):
        attend(case.query, attention_memory(case.keys, case.values), case.v, **part)
