"""Location-sensitive attention as other projects have it, each written out in float64 and reproduced by options."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from seq2seq_fast import backends, use_backend
from seq2seq_fast.nn import HistoryAttention, LocationAttention

B, T, Q, E, A, N, W, STEPS = 3, 9, 5, 6, 7, 4, 5, 4
LENGTHS = torch.tensor([9, 4, 1])
KEPT = torch.arange(T) < LENGTHS[:, None]


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def tacotron2(sigmoid, bias):
    """``Attention`` of NVIDIA's Tacotron 2 (and NeMo), no bias; ``OriginalAttention`` of Coqui TTS has v's bias and, by
    default, sigmoids divided by their sum. Two channels: the last weights, and their sum."""
    query_layer, memory_layer, v = draw(A, Q), draw(A, E), draw(1, A)
    location_conv, location_dense, v_bias = draw(N, 2, W), draw(A, N), draw(1)

    def steps(queries, memory):
        processed_memory = memory @ memory_layer.T
        weights, cumulative, found = memory.new_zeros(B, T), memory.new_zeros(B, T), []
        for query in queries:
            location = F.conv1d(torch.stack([weights, cumulative], 1), location_conv, padding=W // 2)
            processed = location.transpose(1, 2) @ location_dense.T
            energies = torch.tanh((query @ query_layer.T).unsqueeze(1) + processed + processed_memory) @ v[0]
            energies = (energies + v_bias if bias else energies).masked_fill(~KEPT, -torch.inf)
            normalized = energies.sigmoid() / energies.sigmoid().sum(1, keepdim=True)
            weights = normalized if sigmoid else energies.softmax(1)
            cumulative = cumulative + weights
            found.append(((weights.unsqueeze(1) @ memory).squeeze(1), weights))
        return found

    layer = LocationAttention(
        Q, E, A, "both", key_bias=False, filters=N, width=W, score_bias=bias,
        normalization="sigmoid" if sigmoid else "softmax",
    )  # fmt: skip
    theirs = {
        "query_projection.weight": query_layer, "key_projection.weight": memory_layer, "v": v,
        "filters.weight": location_conv, "feature_projection.weight": location_dense,
    }  # fmt: skip
    return layer, theirs | ({"score_bias": v_bias} if bias else {}), steps, 1.0


def speechbrain():
    """``LocationAwareAttention``: all biases but the score's, a scaling, a uniform start, detached, ``mlp_out``."""
    enc, enc_bias, dec, dec_bias = draw(A, E), draw(A), draw(A, Q), draw(A)
    attn, conv_loc, loc, loc_bias = draw(1, A), draw(N, 1, W), draw(A, N), draw(A)
    out, out_bias, scaling = draw(8, E), draw(8), 1.7

    def steps(queries, memory):
        prev_attn, found = KEPT / LENGTHS[:, None].double(), []
        for query in queries:
            location = F.conv1d(prev_attn.unsqueeze(1), conv_loc, padding=W // 2).transpose(1, 2) @ loc.T + loc_bias
            inside = memory @ enc.T + enc_bias + (query @ dec.T + dec_bias).unsqueeze(1) + location
            weights = (scaling * (torch.tanh(inside) @ attn[0]).masked_fill(~KEPT, -torch.inf)).softmax(1)
            prev_attn = weights.detach()
            found.append(((weights.unsqueeze(1) @ memory).squeeze(1) @ out.T + out_bias, weights))
        return found

    layer = LocationAttention(
        Q, E, A, "last", query_bias=True, feature_bias=True, initial="uniform", detach=True, output_size=8,
        filters=N, width=W,
    )  # fmt: skip
    theirs = {
        "query_projection.weight": dec, "query_projection.bias": dec_bias, "key_projection.weight": enc,
        "key_projection.bias": enc_bias, "v": attn, "filters.weight": conv_loc,
        "feature_projection.weight": loc, "feature_projection.bias": loc_bias,
        "output_projection.weight": out, "output_projection.bias": out_bias,
    }  # fmt: skip
    return layer, theirs, steps, scaling


def espnet():
    """``AttLoc``: a bias on the projected encoding and after ``gvec``, a uniform start, scaling 2, no detaching."""
    enc, enc_bias, dec, att, gvec, gvec_bias = draw(A, E), draw(A), draw(A, Q), draw(A, N), draw(1, A), draw(1)
    loc_conv, scaling = draw(N, 1, 1, W), 2.0

    def steps(queries, memory):
        att_prev, found = KEPT / LENGTHS[:, None].double(), []
        for query in queries:
            conv = F.conv2d(att_prev.view(B, 1, 1, T), loc_conv, padding=(0, W // 2)).squeeze(2).transpose(1, 2)
            inside = conv @ att.T + memory @ enc.T + enc_bias + (query @ dec.T).unsqueeze(1)
            energies = (torch.tanh(inside) @ gvec[0] + gvec_bias).masked_fill(~KEPT, -torch.inf)
            att_prev = (scaling * energies).softmax(1)
            found.append(((memory * att_prev.unsqueeze(2)).sum(1), att_prev))
        return found

    layer = LocationAttention(Q, E, A, "last", initial="uniform", filters=N, width=W)
    theirs = {
        "query_projection.weight": dec, "key_projection.weight": enc, "key_projection.bias": enc_bias,
        "v": gvec, "filters.weight": loc_conv, "feature_projection.weight": att,
    }  # fmt: skip
    return layer, theirs, steps, scaling


PROJECTS = {
    "NVIDIA and NeMo": lambda: tacotron2(sigmoid=False, bias=False),
    "Coqui, softmax": lambda: tacotron2(sigmoid=False, bias=True),
    "Coqui, sigmoid": lambda: tacotron2(sigmoid=True, bias=True),
    "SpeechBrain": speechbrain,
    "ESPnet": espnet,
}


@pytest.mark.parametrize("backend", [None, "reference"])
@pytest.mark.parametrize("called", [False, True], ids=["read", "called"])
@pytest.mark.parametrize("project", PROJECTS.values(), ids=PROJECTS)
def test_the_numbers_and_gradients_of_other_projects(project, called, backend):
    layer, theirs, steps, scaling = project()
    layer = layer.double()
    parameters = dict(layer.named_parameters())
    assert set(parameters) == set(theirs)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(theirs[name].reshape(parameter.shape) * (scaling if name == "v" else 1))
    if called:  # a projection with a hook has to be called
        layer.feature_projection.register_forward_hook(lambda *_: None)
    queries, values, weight = draw(STEPS, B, Q), draw(B, T, E), torch.randn(STEPS, B, T, dtype=torch.float64)
    with use_backend(backend):
        memory = layer.memory(values, lengths=LENGTHS)
        history, found = layer.first(memory), []
        for query in queries:
            context, weights, history = layer.attend_next(query, memory, history)
            found.append((context, weights))
        expected = steps(queries, values)
        for (context, weights), (their_context, their_weights) in zip(found, expected, strict=True):
            torch.testing.assert_close(weights, their_weights)
            torch.testing.assert_close(context, their_context)

        def loss(steps):
            return sum(c.square().sum() + (w * factor).sum() for (c, w), factor in zip(steps, weight, strict=True))

        wanted = [queries, values, *(parameters[name] for name in theirs)]
        grads = torch.autograd.grad(loss(found), wanted, materialize_grads=True)
        true = torch.autograd.grad(loss(expected), [queries, values, *theirs.values()], materialize_grads=True)
    for name, ours, other in zip(["queries", "values", *theirs], grads, true, strict=True):
        other = other.reshape(ours.shape) / (scaling if name == "v" else 1)
        torch.testing.assert_close(ours, other, msg=lambda text, name=name: f"{name}: {text}")


class Largest(TorchDispatchMode):
    """The names of operators that ran, and the most numbers that one of them returned."""

    def __init__(self):
        super().__init__()
        self.names, self.most = set(), 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        found = function(*arguments, **(options or {}))
        self.names.add(function._schema.name)
        for part in found if isinstance(found, (tuple, list)) else (found,):
            if isinstance(part, torch.Tensor):
                self.most = max(self.most, part.numel())
        return found


@pytest.mark.skipif(not backends()["cpu"].usable, reason="the CPU engine is not built")
@pytest.mark.parametrize("kind", ["location", "cumulative", "coverage"])
def test_a_step_on_a_cpu_is_fused_and_stores_nothing_of_every_unit_at_every_position(kind):
    layer = HistoryAttention(8, 8, 64, kind, filters=4)
    memory = layer.memory(torch.randn(2, 50, 8))
    history = layer.first(memory)
    layer.attend_next(torch.randn(2, 8), memory, history)
    with Largest() as seen:
        layer.attend_next(torch.randn(2, 8), memory, history)[0].sum().item()
    assert "seq2seq_fast_cpu::feature_score_forward" in seen.names
    assert seen.most < 2 * 50 * 64


def test_a_given_history_is_the_first_one():
    layer = LocationAttention(Q, E, A, "both", filters=N, width=W).double()
    memory, query = layer.memory(draw(B, T, E), lengths=LENGTHS), draw(B, Q)
    _, weights, history = layer.attend_next(query, memory, layer.first(memory))
    expected = layer.attend_next(query, memory, history)[1]
    torch.testing.assert_close(layer.attend_next(query, memory, layer.first(memory, weights))[1], expected)
    with pytest.raises(ValueError, match=r"weights must be \[B, Tx\] = \[3, 9\]"):
        layer.first(memory, weights[:, :2])


def test_a_calls_own_limits_are_obeyed_and_weights_outside_are_zero():
    layer = LocationAttention(Q, E, A, "last", filters=N, width=W).double()
    values, queries, mask = draw(B, T, E), draw(2, B, Q), torch.rand(B, 1, T) > 0.3
    memory, shorter = layer.memory(values, lengths=LENGTHS), layer.memory(values, lengths=LENGTHS, mask=mask)
    history = layer.attend_next(queries[0], memory, layer.first(memory))[2]
    found = layer.attend_next(queries[1], memory, history, mask=mask)
    expected = layer.attend_next(queries[1], shorter, history)
    torch.testing.assert_close(found[0], expected[0])
    torch.testing.assert_close(found[1], expected[1])


def test_calls_that_forget_the_history_are_warned_about_and_wrong_ones_refused():
    layer = LocationAttention(Q, E, A, "last", filters=N, width=W)
    query, values = torch.randn(B, Q), torch.randn(B, T, E)
    memory = layer.memory(values)
    with pytest.warns(UserWarning, match=r"LocationAttention is called without history=.*layer\.attend_next"):
        layer(query, memory=memory)
    with pytest.raises(TypeError, match=r"history must be from layer\.first\(memory\); got Tensor"):
        layer(query, memory=memory, history=torch.zeros(B, T))
    with pytest.raises(ValueError, match=r"history\.attended must be"):
        layer.attend_next(torch.randn(B, 2, Q), memory, layer.first(memory).map(lambda a: a.unsqueeze(1)))
    with pytest.raises(ValueError, match="channels must be one of 'last', 'sum', 'both', 'coverage'"):
        LocationAttention(Q, E, A, "first")
    with pytest.raises(ValueError, match="initial must be one of 'zeros', 'uniform'"):
        LocationAttention(Q, E, A, initial="ones")
    with pytest.raises(TypeError, match="write mask=~key_padding_mask"):
        layer(query, values, key_padding_mask=torch.zeros(B, T, dtype=torch.bool))


def test_beams_of_both_channels_are_those_of_single_queries():
    layer = LocationAttention(Q, E, A, "both", filters=N, width=W).double()
    memory, queries = layer.memory(draw(B, T, E), lengths=LENGTHS), draw(3, B, 2, Q)
    beams = layer.first(memory).map(lambda part: part.unsqueeze(1).expand(-1, 2, -1))
    alone = [layer.first(memory)] * 2
    for query in queries:
        _, weights, beams = layer.attend_next(query, memory, beams)
        for beam in range(2):
            _, expected, alone[beam] = layer.attend_next(query[:, beam], memory, alone[beam])
            torch.testing.assert_close(weights[:, beam], expected)
    assert isinstance(layer.filters, nn.Conv1d) and beams.to(torch.float32).total.dtype == torch.float32
