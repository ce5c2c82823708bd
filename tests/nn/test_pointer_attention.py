"""Pointers: the scores of additive attention, clipped, then masked anew at every step."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast import use_backend
from seq2seq_fast.nn import AdditiveAttention, PointerAttention


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("backend", [None, "reference"])
@given(clip=st.sampled_from([None, 10.0, 0.5]), queries=st.sampled_from([None, 3]), seed=st.integers(0, 9))
def test_holds_the_weights_of_rl4co_and_attention_learn_to_route(backend, clip, queries, seed):
    """``SimpleAttention`` of RL4CO's pointer network, ``Attention`` of attention-learn-to-route's: ``project_ref`` is a
    convolution of width 1, logits are ``C tanh(u)``, then -inf where visited; the glimpse sums projected references."""
    torch.manual_seed(seed)
    project_query, query_bias, project_ref, ref_bias, v = draw(6, 6), draw(6), draw(6, 6, 1), draw(6), draw(6)
    ref, query = draw(3, 5, 6), draw(3, 6) if queries is None else draw(3, queries, 6)
    allowed = torch.rand(*query.shape[:-1], 5) > 0.4
    e = torch.nn.functional.conv1d(ref.transpose(1, 2), project_ref, ref_bias)
    q = (query @ project_query.T + query_bias).reshape(3, -1, 6)
    u = torch.einsum("a,bqat->bqt", v, torch.tanh(q.unsqueeze(3) + e.unsqueeze(1))).reshape(allowed.shape)
    logits = (u if clip is None else clip * torch.tanh(u)).masked_fill(~allowed, -torch.inf)

    layer = PointerAttention(6, 6, 6, clip=clip, query_bias=True).double()
    theirs = {
        "query_projection.weight": project_query, "query_projection.bias": query_bias,
        "key_projection.weight": project_ref.squeeze(2), "key_projection.bias": ref_bias, "v": v,
    }  # fmt: skip
    layer.load_state_dict(theirs)
    glimpse = AdditiveAttention(6, 6, 6, query_bias=True).double()
    glimpse.load_state_dict(theirs)
    with use_backend(backend):
        memory = layer.memory(ref)
        torch.testing.assert_close(layer(query, memory=memory, mask=allowed), logits)
        torch.testing.assert_close(layer(query, ref, mask=allowed), logits)
        context, _ = glimpse(query, ref)
        projected = torch.einsum("bqt,bat->bqa", u.reshape(3, -1, 5).softmax(2), e)
        torch.testing.assert_close(layer.key_projection(context).reshape(projected.shape), projected)


def test_gradients_go_through_clipping_and_stop_at_masks():
    layer = PointerAttention(4, 3, 5, clip=2.0, query_bias=True).double()
    values, mask = draw(2, 6, 3).requires_grad_(), torch.rand(2, 6) > 0.3
    mask[:, 0] = True

    def probabilities(query, values):
        return layer(query, values, mask=mask).log_softmax(1).masked_fill(~mask, 0)

    assert torch.autograd.gradcheck(probabilities, (draw(2, 4).requires_grad_(), values))
    probabilities(draw(2, 4), values).sum().backward()
    assert (values.grad[~mask] == 0).all() and all(part.grad.abs().sum() > 0 for part in layer.parameters())


def test_a_tour_visits_every_city_once():
    layer, cities = PointerAttention(2, 2, 8, clip=10.0), torch.rand(3, 7, 2)
    memory, allowed, here, tour = layer.memory(cities), torch.ones(3, 7, dtype=torch.bool), torch.zeros(3, 2), []
    for _ in range(7):
        city = torch.distributions.Categorical(logits=layer(here, memory=memory, mask=allowed)).sample()
        allowed = allowed.scatter(1, city.unsqueeze(1), False)
        here = cities[torch.arange(3), city]
        tour.append(city)
    assert (torch.stack(tour, 1).sort(1).values == torch.arange(7)).all()


def test_mistakes_are_answered():
    layer, other, query, values = (
        *(PointerAttention(4, 3, 5) for _ in range(2)),
        torch.randn(2, 4),
        torch.randn(2, 6, 3),
    )
    with pytest.raises(ValueError, match="memory was made by another layer"):
        other(query, memory=layer.memory(values))
    with pytest.raises(TypeError, match="got an AttentionMemory: write memory=memory"):
        layer(query, layer.memory(values))
    with pytest.raises(ValueError, match="clip must be a positive number"):
        PointerAttention(4, 3, 5, clip=-1.0)
