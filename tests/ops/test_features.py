"""Scores with a history's features inside their units, and with ReLU in tanh's place."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast import additive_score, attend, attention_memory, backends, use_backend
from seq2seq_fast.ops.features import BACKENDS
from tests.support.cases import attention_case
from tests.support.engines import DTYPES, ENGINES, dtype_name
from tests.support.truth import assert_near, double, gradients, score_error

SERVED = [engine for engine in ENGINES if engine.backend in BACKENDS]
NAMES = ("query", "keys", "values", "v", "history", "filters")


def drawn(batch, queries, source, units, channels, width, dtype, device="cpu"):
    """Differentiable query, keys, values, v, history and filters, and the case they are of."""
    case = attention_case(batch, queries, source, units, 3, dtype=dtype, device=device)
    generator = torch.Generator().manual_seed(source * width + channels)
    rows = (batch,) if queries is None else (batch, queries)
    history = torch.rand(*rows, channels, source, generator=generator, dtype=torch.float64)
    filters = (
        torch.randn(units, channels, width, generator=generator, dtype=torch.float64) / max(channels * width, 1) ** 0.5
    )
    parts = [t.to(device, dtype).requires_grad_() for t in (history, filters)]
    return [*case.differentiable, *parts], case


def truth(query, keys, v, history, filters, activation):
    """The sum over channels and offsets, written out."""
    history = history if history.dim() == 4 else history.unsqueeze(1)
    query = query if query.dim() == 3 else query.unsqueeze(1)
    source, half = keys.shape[1], filters.shape[2] // 2
    inside = query.unsqueeze(2) + keys.unsqueeze(1)
    for offset in range(-half, half + 1):
        begin, end = max(0, -offset), min(source, source - offset)
        if begin < end:
            part = torch.einsum(
                "bicj,ac->bija", history[..., begin + offset : end + offset], filters[..., offset + half]
            )
            inside = inside + torch.nn.functional.pad(part, (0, 0, begin, source - end))
    return (torch.tanh(inside) if activation == "tanh" else torch.relu(inside)) @ v


@pytest.mark.parametrize("engine", SERVED, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=dtype_name)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@given(data=st.data())
def test_scores_and_gradients_match_float64_truth(engine, dtype, activation, data):
    if engine.lacks(dtype):
        return
    shape = data.draw(
        st.sampled_from(
            [
                (1, None, 1, 1, 1, 1),
                (2, None, 5, 7, 2, 3),
                (2, 3, 4, 9, 1, 5),
                (3, None, 30, 17, 2, 31),
                (2, 2, 53, 33, 3, 7),
            ]
        )
    )
    tensors, case = drawn(*shape, dtype, engine.device)

    def found(query, keys, values, v, history, filters):
        memory = attention_memory(keys, values)
        return [additive_score(
            query, memory, v, history=history, filters=filters, activation=activation, backend=engine.backend
        )]  # fmt: skip

    def wanted(query, keys, values, v, history, filters):
        scores = truth(query, keys, v, history, filters, activation)
        return [scores if query.dim() == 3 else scores.squeeze(1)]

    (scores,), grads = gradients(found, tensors)
    (true,), true_grads = gradients(wanted, double(tensors))
    size = 1 if activation == "tanh" else 8  # a unit of ReLU is as large as what is inside
    assert_near(scores, true, error=size * 4 * score_error(case.v), roundings=4, name="scores")
    for name, a, b in zip(NAMES, grads, true_grads, strict=True):
        if name != "values":
            assert_near(a, b, error=size * 32 * score_error(case.v), roundings=8, name=name)


@pytest.mark.parametrize("engine", SERVED, ids=str)
def test_gradcheck_and_gradgradcheck(engine):
    tensors, _ = drawn(2, 2, 4, 3, 2, 3, torch.float64, engine.device)

    def function(query, keys, values, v, history, filters):
        memory = attention_memory(keys, values)
        return attend(query, memory, v, history=history, filters=filters, backend=engine.backend)

    assert torch.autograd.gradcheck(function, tensors)
    assert torch.autograd.gradgradcheck(function, tensors)


@pytest.mark.parametrize("engine", SERVED, ids=str)
@pytest.mark.parametrize("queries", [None, 2])
def test_weights_fed_back_as_history_reach_every_parameter(engine, queries):
    """Two steps of a location-sensitive decoder: the second attends by where the first did."""
    tensors, _ = drawn(2, queries, 6, 5, 1, 3, torch.float32, engine.device)
    query, keys, values, v, _, filters = tensors
    memory = attention_memory(keys, values, lengths=[6, 3])
    _, weights = attend(query, memory, v, backend=engine.backend)
    context, _ = attend(
        query, memory, v, history=weights.unsqueeze(-2), filters=filters, activation="tanh", backend=engine.backend
    )
    context.sum().backward()
    assert all(float(t.grad.abs().sum()) > 0 for t in (query, keys, values, v, filters))


@pytest.mark.parametrize("engine", SERVED, ids=str)
@pytest.mark.parametrize(
    "shape", [(0, None, 3, 4, 2, 3), (2, None, 0, 4, 2, 3), (2, 0, 3, 4, 2, 3), (2, 2, 3, 0, 2, 3)]
)
def test_sizes_of_zero_are_served(engine, shape):
    batch, queries, source, units = shape[:4]
    rows = (batch,) if queries is None else (batch, queries)
    sizes = ((*rows, units), (batch, source, units), (batch, source, 3), (units,), (*rows, 2, source), (units, 2, 3))
    tensors = [torch.rand(size, device=engine.device, requires_grad=True) for size in sizes]
    query, keys, values, v, history, filters = tensors
    memory = attention_memory(keys, values)
    context, weights = attend(query, memory, v, history=history, filters=filters, backend=engine.backend)
    (context.sum() + weights.sum()).backward()
    assert context.shape == (*rows, 3) and weights.shape == (*rows, source)
    assert all(t.grad is None or not t.grad.isnan().any() for t in tensors)


@pytest.mark.parametrize(
    ("parts", "error", "says"),
    [
        ({"activation": "sigmoid"}, ValueError, "activation must be one of 'tanh', 'relu'"),
        ({"history": torch.zeros(2, 1, 4)}, ValueError, "history needs filters"),
        ({"filters": torch.zeros(5, 1, 3)}, ValueError, "filters needs history"),
        ({"history": torch.zeros(2, 1, 4), "filters": torch.zeros(5, 1, 2)}, ValueError, "odd width W"),
        (
            {"history": torch.zeros(2, 4), "filters": torch.zeros(5, 1, 3)},
            ValueError,
            r"history must have 3 dimensions",
        ),
        (
            {"history": torch.zeros(2, 2, 4), "filters": torch.zeros(5, 1, 3)},
            ValueError,
            r"history must be \[B, C, Tx\]",
        ),
        (
            {"history": torch.zeros(2, 1, 4), "filters": torch.zeros(6, 1, 3)},
            ValueError,
            r"filters must be \[A, C, W\]",
        ),
    ],
)
def test_a_wrong_part_is_named_with_what_to_write_instead(parts, error, says):
    case = attention_case(2, None, 4, 5, 3)
    with pytest.raises(error, match=says):
        attend(case.query, attention_memory(case.keys, case.values), case.v, **parts)


def test_an_engine_without_a_kernel_is_refused_by_name_and_replaced_unnamed(monkeypatch):
    case = attention_case(2, None, 4, 5, 3)
    memory = attention_memory(case.keys, case.values)
    monkeypatch.setattr("seq2seq_fast.ops.features.BACKENDS", ("reference",))
    if backends()["cpu"].usable:
        with pytest.raises(ValueError, match="backend='cpu' has no kernel for history= or activation="):
            attend(case.query, memory, case.v, activation="relu", backend="cpu")
    found = attend(case.query, memory, case.v, activation="relu")[0]
    with use_backend("reference"):
        assert torch.equal(found, attend(case.query, memory, case.v, activation="relu")[0])
