"""Attention that knows where it has attended before."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.nn import AdditiveAttention, HistoryAttention
from seq2seq_fast.nn.attention_history import HISTORIES


def layer_and_sources(kind, width=3, batch=3, source=6):
    layer = HistoryAttention(4, 5, 7, kind, filters=2, width=width).double()
    values = torch.randn(batch, source, 5, dtype=torch.float64)
    return layer, values, torch.tensor([source, 0, 2][:batch])


def written_out(layer, queries, values):
    """The equations, one source and one position at a time: weights [queries, Tx]."""
    size = values.shape[0]
    earlier = [torch.zeros(size, dtype=values.dtype)]
    for query in queries:
        total, scores = sum(earlier), []
        for j in range(size):
            if layer.kind == "coverage":
                phi = 2 * torch.sigmoid(values[j] @ layer.fertility.weight[0] + layer.fertility.bias[0])
                feature = (total[j] / phi).reshape(1)
            else:
                seen, half = earlier[-1] if layer.kind == "location" else total, layer.filters.weight.shape[2] // 2
                feature = sum(
                    layer.filters.weight[:, 0, k] * seen[j + k - half]
                    for k in range(2 * half + 1)
                    if 0 <= j + k - half < size
                )
            key = layer.key_projection(values[j]) + layer.feature_projection.weight @ feature
            scores.append(layer.v @ torch.tanh(layer.query_projection(query) + key))
        earlier.append(torch.stack(scores).softmax(0))
    return torch.stack(earlier[1:])


@given(kind=st.sampled_from(HISTORIES), width=st.sampled_from((1, 3, 9)), seed=st.integers(0, 9))
def test_the_published_equations_written_out(kind, width, seed):
    torch.manual_seed(seed)
    layer, values, lengths = layer_and_sources(kind, width)
    queries = torch.randn(4, 3, 4, dtype=torch.float64)
    memory = layer.memory(values, lengths=lengths)
    history = layer.first(memory)
    found = []
    for query in queries:
        context, weights, history = layer.attend_next(query, memory, history)
        torch.testing.assert_close(context, (weights.unsqueeze(2) * values).sum(1))
        found.append(weights)
    for row, length in enumerate(lengths.tolist()):
        weights = torch.stack([one[row] for one in found])
        assert (weights[:, length:] == 0).all()
        if length:
            torch.testing.assert_close(weights[:, :length], written_out(layer, queries[:, row], values[row, :length]))


@pytest.mark.parametrize("kind", HISTORIES)
def test_beams_have_histories_of_their_own(kind):
    layer, values, lengths = layer_and_sources(kind)
    memory = layer.memory(values, lengths=lengths)
    queries = torch.randn(3, 3, 2, 4, dtype=torch.float64)
    beams = layer.first(memory).map(lambda attended: attended.unsqueeze(1).expand(-1, 2, -1))
    alone = [layer.first(memory)] * 2
    for query in queries:
        _, weights, beams = layer.attend_next(query, memory, beams)
        for beam in range(2):
            _, expected, alone[beam] = layer.attend_next(query[:, beam], memory, alone[beam])
            torch.testing.assert_close(weights[:, beam], expected)


@pytest.mark.filterwarnings("ignore:HistoryAttention is called without history=")
@pytest.mark.parametrize("kind", HISTORIES)
def test_the_first_query_is_that_of_additive_attention(kind):
    layer, values, lengths = layer_and_sources(kind)
    plain = AdditiveAttention(4, 5, 7).double()
    plain.load_state_dict({name: value for name, value in layer.state_dict().items() if name in plain.state_dict()})
    query = torch.randn(3, 2, 4, dtype=torch.float64)
    for ours, theirs in zip(layer(query, values, lengths=lengths), plain(query, values, lengths=lengths), strict=True):
        torch.testing.assert_close(ours, theirs)
    empty = layer(query, values[:, :0])
    assert empty[0].shape == (3, 2, 5) and (empty[0] == 0).all() and empty[1].shape == (3, 2, 0)


@pytest.mark.parametrize("kind", HISTORIES)
def test_gradients_go_through_what_was_attended_to(kind):
    layer, values, lengths = layer_and_sources(kind, source=3, batch=2)
    queries = torch.randn(2, 2, 4, dtype=torch.float64, requires_grad=True)

    def second_context(queries, values):
        memory = layer.memory(values, lengths=lengths.clamp(min=1))
        _, _, history = layer.attend_next(queries[0], memory, layer.first(memory))
        return layer.attend_next(queries[1], memory, history)[0]

    assert torch.autograd.gradcheck(second_context, (queries, values.requires_grad_()))
    second_context(queries, values).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in layer.parameters())


def test_under_autocast_the_history_is_kept_in_float32():
    layer = HistoryAttention(4, 5, 7, "coverage")
    with torch.autocast("cpu", torch.bfloat16):
        memory = layer.memory(torch.randn(2, 6, 5))
        _, weights, history = layer.attend_next(torch.randn(2, 4), memory, layer.first(memory))
    assert weights.dtype == torch.bfloat16 and history.attended.dtype == torch.float32


def test_arguments_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="width must be odd"):
        HistoryAttention(4, 5, 7, "location", width=4)
    with pytest.raises(ValueError, match="kind must be one of"):
        HistoryAttention(4, 5, 7, "memory")
