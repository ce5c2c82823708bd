"""Pooling of bags by attention without a query, as pathology's models and recommenders have it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.nn import GatedAttentionPooling
from seq2seq_fast.nn import gated_pool as gated_pool_module


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.fixture(autouse=True)
def _several_chunks(monkeypatch):
    monkeypatch.setattr(gated_pool_module, "UNITS_AT_ONCE", 24)


@given(
    heads=st.sampled_from([None, 1, 3]),
    gate=st.booleans(),
    bias=st.booleans(),
    lengths=st.lists(st.integers(0, 11), min_size=2, max_size=2),
    seed=st.integers(0, 9),
)
def test_contexts_weights_scores_and_gradients_are_the_formulas(heads, gate, bias, lengths, seed):
    torch.manual_seed(seed)
    layer = GatedAttentionPooling(5, 4, heads, gate=gate, bias=bias).double()
    values, attended = draw(2, 11, 5), torch.arange(11) < torch.tensor(lengths)[:, None]
    poisoned = values.masked_fill(~attended.unsqueeze(2), torch.nan).requires_grad_()
    clean = values.masked_fill(~attended.unsqueeze(2), 0).requires_grad_()

    units = torch.tanh(layer.tanh_projection(clean))
    units = units * torch.sigmoid(layer.gate_projection(clean)) if gate else units
    raw = layer.score_projection(units).transpose(1, 2)
    rows = torch.zeros(2, raw.shape[1], 11, dtype=torch.float64)
    expected = torch.stack(
        [torch.cat([raw[i, :, :n].softmax(1), rows[i, :, n:]], dim=1) if n else rows[i] for i, n in enumerate(lengths)]
    )
    true = [expected @ clean, expected, raw.masked_fill(~attended.unsqueeze(1), -torch.inf)]
    if heads is None:
        true = [part.squeeze(1) for part in true]
    context, weights = layer(poisoned, lengths=lengths)
    scores = layer.scores(poisoned, lengths=lengths)
    for found, wanted in zip((context, weights, scores), true, strict=True):
        torch.testing.assert_close(found, wanted)

    factor = torch.randn_like(weights)

    def loss(context, weights, scores):
        return context.square().sum() + (weights * factor).sum() + scores[scores.isfinite()].sin().sum()

    ours = torch.autograd.grad(loss(context, weights, scores), [poisoned, *layer.parameters()], materialize_grads=True)
    theirs = torch.autograd.grad(loss(*true), [clean, *layer.parameters()], materialize_grads=True)
    for found, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(
            found, wanted.masked_fill(~attended.unsqueeze(2), 0) if wanted.dim() == 3 else wanted
        )


@pytest.mark.parametrize("gate", [True, False])
def test_gradcheck_and_gradgradcheck(gate):
    layer = GatedAttentionPooling(3, 4, 2, gate=gate).double()
    values = draw(2, 9, 3).requires_grad_()
    mask = torch.rand(2, 9) > 0.3
    names = [name for name, _ in layer.named_parameters()]

    def function(values, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (values,), {"mask": mask})

    inputs = (values, *layer.parameters())
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


@pytest.mark.parametrize("gate", [True, False], ids=["Attn_Net_Gated", "Attn_Net"])
def test_holds_the_weights_of_clam(gate):
    """CLAM's ``Attn_Net_Gated`` and ``Attn_Net``: raw scores A [N, K], transposed, softmax over the bag, M = A h."""
    a, a_bias, b, b_bias, c, c_bias = draw(4, 5), draw(4), draw(4, 5), draw(4), draw(2, 4), draw(2)
    h = draw(30, 5)
    units = torch.tanh(h @ a.T + a_bias)
    units = units * torch.sigmoid(h @ b.T + b_bias) if gate else units
    raw = (units @ c.T + c_bias).T
    layer = GatedAttentionPooling(5, 4, 2, gate=gate).double()
    theirs = {"tanh_projection.weight": a, "tanh_projection.bias": a_bias}
    theirs |= {"gate_projection.weight": b, "gate_projection.bias": b_bias} if gate else {}
    layer.load_state_dict(theirs | {"score_projection.weight": c, "score_projection.bias": c_bias})
    context, weights = layer(h.unsqueeze(0))
    torch.testing.assert_close(layer.scores(h.unsqueeze(0))[0], raw)
    torch.testing.assert_close(weights[0], raw.softmax(1))
    torch.testing.assert_close(context[0], raw.softmax(1) @ h)


def test_holds_the_weights_of_attlayer2_of_the_recommenders():
    """``AttLayer2`` of NAML and NRMS: exp(q . tanh(x W + b)) divided by its sum, one query vector."""
    W, b, q, x = draw(5, 4), draw(4), draw(4), draw(3, 7, 5)
    attention = torch.exp(torch.tanh(x @ W + b) @ q)
    attention = attention / attention.sum(1, keepdim=True)
    layer = GatedAttentionPooling(5, 4, gate=False).double()
    theirs = {"tanh_projection.weight": W.T, "tanh_projection.bias": b}
    layer.load_state_dict(theirs | {"score_projection.weight": q[None], "score_projection.bias": torch.zeros(1)})
    context, weights = layer(x)
    torch.testing.assert_close(weights, attention)
    torch.testing.assert_close(context, (x * attention.unsqueeze(2)).sum(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_narrow_dtypes_are_near_the_truth(dtype):
    layer, values = GatedAttentionPooling(5, 4, 2), torch.randn(2, 40, 5)
    true, true_weights = layer.double()(values.double())
    found, weights = layer.to(dtype)(values.to(dtype))
    assert found.dtype == weights.dtype == dtype
    tolerance = 8 * torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), true, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(weights.double(), true_weights, atol=tolerance, rtol=tolerance)


def test_scores_of_any_size_overflow_nothing_in_any_order_of_chunks():
    layer = GatedAttentionPooling(1, 1, gate=False, bias=False).double()
    with torch.no_grad():
        layer.tanh_projection.weight.fill_(1)
        layer.score_projection.weight.fill_(1e4)
    for ends in ((-3, 3), (3, -3)):
        values = torch.linspace(*ends, 100, dtype=torch.float64).reshape(1, -1, 1)
        context, weights = layer(values)
        expected = (1e4 * torch.tanh(values[0, :, 0])).softmax(0)
        torch.testing.assert_close(weights[0], expected)
        torch.testing.assert_close(context[0, 0], expected @ values[0, :, 0])


def test_adapted_projections_are_called_and_tracers_take_the_formula():
    layer, values, mask = GatedAttentionPooling(5, 4, 2).double(), draw(2, 9, 5), torch.rand(2, 9) > 0.3
    expected = layer(values, mask=mask)
    calls = []
    handle = layer.gate_projection.register_forward_hook(lambda *_: calls.append(1))
    found = layer(values, mask=mask)
    handle.remove()
    assert calls
    traced = torch.compile(layer, backend="eager", fullgraph=True)(values, mask=mask)
    for one, other, wanted in zip(found, traced, expected, strict=True):
        torch.testing.assert_close(one, wanted)
        torch.testing.assert_close(other, wanted)
    single = torch.func.vmap(lambda v: layer(v.unsqueeze(0))[0])(values)
    torch.testing.assert_close(single.squeeze(1), layer(values)[0])


def test_autocast_computes_in_its_dtype():
    layer, values = GatedAttentionPooling(5, 4, 2), torch.randn(2, 9, 5)
    exact = layer(values)[0]
    with torch.autocast("cpu", torch.bfloat16):
        context, _ = layer(values)
    context.sum().backward()
    assert context.dtype == torch.bfloat16
    torch.testing.assert_close(context.float(), exact, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("gate", [False, True])
def test_gradients_are_the_same_where_autocast_is_on_in_backward_too(gate):
    layer, values = GatedAttentionPooling(5, 4, gate=gate), torch.randn(2, 7, 5)
    found = []
    for inside in (False, True):
        layer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            context = layer(values)[0].float().square().sum()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=inside):
            context.backward()
        found.append([parameter.grad for parameter in layer.parameters()])
    assert all(torch.equal(outside, within) for outside, within in zip(*found, strict=True))


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_empty_batches_and_bags(shape):
    layer, values = GatedAttentionPooling(5, 4, 3), torch.randn(*shape, 5, requires_grad=True)
    context, weights = layer(values)
    context.sum().backward()
    assert context.shape == (shape[0], 3, 5) and (context == 0).all() and weights.shape == (shape[0], 3, shape[1])


def peak(call):
    """The most bytes that a call has in memory at once, beyond those of before."""
    with torch.autograd.profiler.profile(profile_memory=True) as profile:
        call()
    events = [event for event in profile.kineto_results.events() if event.name() == "[memory]"]
    most = held = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


@pytest.mark.parametrize("gradients", [False, True])
def test_a_large_bag_takes_a_tenth_of_eagers_memory(monkeypatch, gradients):
    monkeypatch.undo()
    layer, values = GatedAttentionPooling(64, 256), torch.randn(1, 30_000, 64)

    def eager():
        units = torch.tanh(layer.tanh_projection(values)) * torch.sigmoid(layer.gate_projection(values))
        return layer.score_projection(units).softmax(1).transpose(1, 2) @ values

    def run(pool):
        with torch.set_grad_enabled(gradients):
            context = pool()
            if gradients:
                context.sum().backward()
        layer.zero_grad()

    theirs, ours = peak(lambda: run(eager)), peak(lambda: run(lambda: layer(values)[0]))
    assert theirs > 2 * 30_000 * 256 * 4
    assert ours < theirs / 10


def test_wrong_calls_say_what_to_write():
    layer = GatedAttentionPooling(5, 4)
    with pytest.raises(ValueError, match=r"of one bag write values\.unsqueeze\(0\)"):
        layer(torch.randn(7, 5))
    with pytest.raises(ValueError, match=r"values must be \[B, N, D\] = \[any, any, 5\]"):
        layer(torch.randn(1, 7, 6))
    with pytest.raises(TypeError, match="write mask=~key_padding_mask"):
        layer(torch.randn(1, 7, 5), key_padding_mask=torch.zeros(1, 7))
    with pytest.warns(UserWarning, match="mask attends to nothing"):
        layer(torch.randn(1, 7, 5), mask=torch.zeros(1, 7, dtype=torch.bool))
    assert repr(GatedAttentionPooling(5, 4, 3, gate=False)).startswith(
        "GatedAttentionPooling(\n  5, 4, score_vectors=3, gate=False"
    )
