import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import Parameter

from seq2seq_fast.nn import AdditiveAttention, DotProductAttention, MultiplicativeAttention
from seq2seq_fast.nn.attention_kinds import ATTENTIONS, make_attention


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def layer_of(kind, query_size=5, value_size=5, attention_size=7):
    return make_attention(kind, query_size, value_size, attention_size).double()


def raw_scores(layer, query, keys):
    """[Tq, Tx] for one source, each layer's own formula."""
    if isinstance(layer, AdditiveAttention):
        q, k = layer.query_projection(query), layer.key_projection(keys)
        return torch.stack([torch.stack([layer.v @ torch.tanh(a + b) for b in k]) for a in q])
    if isinstance(layer, MultiplicativeAttention):
        keys = keys @ layer.weight.T
    return layer.scale * torch.stack([torch.stack([a @ b for b in keys]) for a in query])


@pytest.mark.parametrize("kind", ATTENTIONS)
@given(
    lengths=st.lists(st.integers(0, 4), min_size=3, max_size=3),
    mask=st.none() | st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=3, max_size=3),
    queries=st.sampled_from((None, 1, 3)),
)
def test_a_padded_batch_gives_what_each_sources_attended_positions_give(kind, lengths, mask, queries):
    layer = layer_of(kind)
    query = draw(3, 5) if queries is None else draw(3, queries, 5)
    values = draw(3, 4, 5)
    attended = torch.arange(4) < torch.tensor(lengths)[:, None]
    if mask is not None:
        mask = torch.tensor(mask)
        attended &= mask
    expected = torch.zeros(3, queries or 1, 5, dtype=torch.float64)
    expected_weights = torch.zeros(3, queries or 1, 4, dtype=torch.float64)
    for row in range(3):
        kept = values[row, attended[row]]
        if len(kept):
            weights = torch.softmax(raw_scores(layer, query[row].reshape(-1, 5), kept), dim=-1)
            expected[row] = weights @ kept
            expected_weights[row, :, attended[row]] = weights
    values[~attended] = torch.nan
    values.requires_grad_()
    query.requires_grad_()
    context, weights = layer(query, values, lengths=torch.tensor(lengths), mask=mask)
    assert context.shape == (*query.shape[:-1], 5) and weights.shape == (*query.shape[:-1], 4)
    torch.testing.assert_close(context.reshape(expected.shape), expected)
    torch.testing.assert_close(weights.reshape(expected_weights.shape), expected_weights)
    without, none = layer(query, values, lengths=torch.tensor(lengths), mask=mask, need_weights=False)
    assert none is None
    torch.testing.assert_close(without, context)

    empty = ~attended.any(dim=1)
    assert (weights[empty] == 0).all() and (context[empty] == 0).all() and (without[empty] == 0).all()
    parameters = list(layer.parameters())
    for output in (context.square().sum() + weights.square().sum(), without.square().sum()):
        grads = torch.autograd.grad(output, [query, values, *parameters])
        assert all(grad.isfinite().all() for grad in grads)
        assert (grads[1][~attended] == 0).all() and (grads[0][empty] == 0).all()


@pytest.mark.parametrize("kind", ATTENTIONS)
@pytest.mark.parametrize(("batch", "source", "queries"), [(0, 3, 2), (2, 0, 2), (2, 3, 0)])
def test_empty_batches_sources_and_queries(kind, batch, source, queries):
    layer = layer_of(kind)
    for need_weights in (True, False):
        context, _ = layer(draw(batch, queries, 5), draw(batch, source, 5), need_weights=need_weights)
        assert context.shape == (batch, queries, 5) and (context == 0).all()


@pytest.mark.parametrize("kind", ATTENTIONS)
def test_a_memory_serves_many_calls_and_has_the_layers_gradients(kind):
    layer, values, lengths = layer_of(kind), draw(2, 4, 5).requires_grad_(), torch.tensor([4, 2])
    queries = draw(2, 3, 5)
    memory = layer.memory(values, lengths=lengths)
    singly = torch.stack([layer(query, memory=memory)[0] for query in queries.unbind(1)], dim=1)
    together = layer(queries, values, lengths=lengths)[0]
    torch.testing.assert_close(singly, together)
    wanted = [values, *layer.parameters()]
    weight = draw(2, 3, 5)
    pairs = zip(
        torch.autograd.grad((singly * weight).sum(), wanted),
        torch.autograd.grad((together * weight).sum(), wanted),
        strict=True,
    )
    for single, many in pairs:
        torch.testing.assert_close(single, many)


@pytest.mark.parametrize("kind", ATTENTIONS)
def test_keys_can_be_other_than_the_values(kind):
    layer = layer_of(kind)
    query, keys, values = draw(2, 3, 5), draw(2, 4, 5), draw(2, 4, 6)
    context, weights = layer(query, values, keys=keys)
    torch.testing.assert_close(weights, layer(query, keys)[1])
    torch.testing.assert_close(context, weights @ values)


@pytest.mark.parametrize("kind", ATTENTIONS)
def test_autocast_computes_in_its_dtype(kind):
    layer, query, values = layer_of(kind).float(), torch.randn(2, 3, 5), torch.randn(2, 4, 5)
    exact = layer(query, values)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        context, weights = layer(query, values, lengths=torch.tensor([4, 4]))
    assert context.dtype == weights.dtype == torch.bfloat16
    torch.testing.assert_close(context.float(), exact, atol=0.05, rtol=0.05)


def softmax_where(scores, kept):
    return torch.softmax(scores.masked_fill(~kept, -torch.inf), dim=-1)


def test_holds_the_weights_of_joeynmt_bahdanau_attention():
    key_layer, query_layer, energy_layer = draw(7, 6), draw(7, 5), draw(1, 7)
    query, values, kept = draw(3, 1, 5), draw(3, 4, 6), torch.arange(4) < torch.tensor([[4], [2], [1]])
    energy = torch.tanh(query @ query_layer.T + values @ key_layer.T) @ energy_layer.T
    alphas = softmax_where(energy.squeeze(2).unsqueeze(1), kept.unsqueeze(1))

    layer = AdditiveAttention(5, 6, 7, key_bias=False).double()
    layer.load_state_dict(
        {"query_projection.weight": query_layer, "key_projection.weight": key_layer, "v": energy_layer[0]}
    )
    context, weights = layer(query, values, mask=kept)
    torch.testing.assert_close(weights, alphas)
    torch.testing.assert_close(context, alphas @ values)


def test_holds_the_weights_of_opennmt_global_attention_mlp():
    linear_context, linear_query, query_bias, v = draw(6, 6), draw(6, 6), draw(6), draw(1, 6)
    linear_out, out_bias = draw(6, 12), draw(6)
    query, memory_bank, lengths = draw(3, 2, 6), draw(3, 4, 6), torch.tensor([4, 3, 1])
    both = (query @ linear_query.T + query_bias).unsqueeze(2) + (memory_bank @ linear_context.T).unsqueeze(1)
    align = softmax_where((torch.tanh(both) @ v.T).squeeze(3), (torch.arange(4) < lengths[:, None]).unsqueeze(1))
    expected = torch.cat([align @ memory_bank, query], dim=2) @ linear_out.T + out_bias

    layer = AdditiveAttention(6, 6, 6, query_bias=True, key_bias=False).double()
    layer.load_state_dict(
        {
            "query_projection.weight": linear_query,
            "query_projection.bias": query_bias,
            "key_projection.weight": linear_context,
            "v": v[0],
        }
    )
    context, weights = layer(query, memory_bank, lengths=lengths)
    torch.testing.assert_close(weights, align)
    torch.testing.assert_close(torch.cat([context, query], dim=2) @ linear_out.T + out_bias, expected)


def test_holds_the_weights_of_opennmt_global_attention_general():
    linear_in, query, memory_bank = draw(6, 6), draw(3, 2, 6), draw(3, 4, 6)
    align = torch.softmax((query @ linear_in.T) @ memory_bank.transpose(1, 2), dim=2)
    layer = MultiplicativeAttention(6, 6).double()
    layer.load_state_dict({"weight": linear_in.T})
    context, weights = layer(query, memory_bank)
    torch.testing.assert_close(weights, align)
    torch.testing.assert_close(context, align @ memory_bank)


def test_holds_the_weights_of_speechbrain_content_based_attention():
    mlp_enc, enc_bias, mlp_dec, dec_bias, mlp_attn = draw(7, 6), draw(7), draw(7, 5), draw(7), draw(1, 7)
    scaling, lengths = 1.7, torch.tensor([4, 2, 3])
    enc_states, dec_states = draw(3, 4, 6), draw(3, 5)
    attention = torch.tanh(enc_states @ mlp_enc.T + enc_bias + (dec_states @ mlp_dec.T + dec_bias).unsqueeze(1))
    kept = torch.arange(4) < lengths[:, None]
    expected = softmax_where(scaling * (attention @ mlp_attn.T).squeeze(2), kept)

    layer = AdditiveAttention(5, 6, 7, query_bias=True, key_bias=True).double()
    layer.load_state_dict(
        {
            "query_projection.weight": mlp_dec,
            "query_projection.bias": dec_bias,
            "key_projection.weight": mlp_enc,
            "key_projection.bias": enc_bias,
            "v": scaling * mlp_attn[0],
        }
    )
    context, weights = layer(dec_states, enc_states, lengths=lengths)
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(context, (expected.unsqueeze(1) @ enc_states).squeeze(1))


@pytest.mark.parametrize("use_scale", [True, False])
def test_holds_the_weights_of_keras_additive_attention(use_scale):
    scale = draw(6) if use_scale else torch.ones(6, dtype=torch.float64)
    query, value, key = draw(3, 2, 6), draw(3, 4, 6), draw(3, 4, 6)
    kept = torch.rand(3, 4) > 0.3
    kept[:, 0] = True
    for keys in (None, key):
        keyed = value if keys is None else keys
        scores = (scale * torch.tanh(query.unsqueeze(2) + keyed.unsqueeze(1))).sum(dim=3)
        expected = softmax_where(scores, kept.unsqueeze(1))
        layer = AdditiveAttention(6, 6, 6, project=False)
        layer.v = Parameter(scale)
        context, weights = layer(query, value, keys=keys, mask=kept)
        torch.testing.assert_close(weights, expected)
        torch.testing.assert_close(context, expected @ value)


def test_errors_name_the_argument():
    layer, dot = AdditiveAttention(5, 6, 7), DotProductAttention()
    query, values = torch.randn(2, 5), torch.randn(2, 4, 6)
    with pytest.raises(ValueError, match="values or memory must be given"):
        layer(query)
    with pytest.raises(ValueError, match="memory already holds"):
        layer(query, values, memory=layer.memory(values))
    with pytest.raises(ValueError, match="project=False needs"):
        AdditiveAttention(5, 6, 7, project=False)
    with pytest.raises(ValueError, match=r"query must be \[B, Q\].*got shape \(2, 5\)"):
        dot(query, values)
    with pytest.raises(TypeError, match="query must have the dtype of keys"):
        dot(values.double(), values)
    with pytest.raises(ValueError, match=r"keys must be \[B, Tx, K\]"):
        layer(query, values, keys=values[:, 1:])
    with pytest.raises(ValueError, match="context_weight serves AdditiveAttention"):
        dot.memory(values, context_weight=torch.randn(3, 6))
    with pytest.raises(ValueError, match="lengths must lie between 0 and the source's 4 positions"):
        dot.memory(values, lengths=torch.tensor([5, 1]))
    with pytest.raises(ValueError, match='attention="dot" needs'):
        make_attention("dot", 5, 6)
    with pytest.raises(ValueError, match="attention must be one of"):
        make_attention("self", 5, 6)


@pytest.mark.parametrize("queries", [(), (3,)])
def test_sizes_that_do_not_fit_the_projections_are_named(queries):
    layer, values = AdditiveAttention(5, 6, 4), torch.randn(2, 7, 6)
    with pytest.raises(ValueError, match=r"query must be .* = .*5\]; got shape"):
        layer(torch.randn(2, *queries, 8), values)
    for wrong in (AdditiveAttention(5, 9, 4), MultiplicativeAttention(5, 9)):
        with pytest.raises(ValueError, match=r"values \(which are the keys\) must be \[B, Tx, K\] = \[any, any, 9\]"):
            wrong(torch.randn(2, *queries, 5), values)
    with pytest.raises(ValueError, match="backend='gpu' is unknown"):
        AdditiveAttention(5, 6, 4, backend="gpu")


def test_a_memory_made_outside_autocast_serves_inside():
    layer, values, query = AdditiveAttention(5, 6, 4), torch.randn(2, 7, 6), torch.randn(2, 5)
    exact, _ = layer(query, values)
    memory = layer.memory(values)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        context, _ = layer(query, memory=memory)
    assert context.dtype == torch.float32
    torch.testing.assert_close(context, exact, atol=0.03, rtol=0.03)
