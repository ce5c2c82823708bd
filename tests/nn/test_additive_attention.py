"""What additive attention takes beside the paper's tanh and softmax, as other projects have it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.nn import AdditiveAttention, AttentionDecoder, Encoder
from seq2seq_fast.nn.attention_kinds import ATTENTIONS, make_attention


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def softmax_where(scores, kept):
    return torch.softmax(scores.masked_fill(~kept, -torch.inf), dim=-1)


@given(
    activation=st.sampled_from(["tanh", "relu"]),
    normalization=st.sampled_from(["softmax", "sigmoid", "none"]),
    clip=st.sampled_from([None, 2.5]),
    seed=st.integers(0, 9),
)
def test_every_option_is_its_formula(activation, normalization, clip, seed):
    torch.manual_seed(seed)
    layer = AdditiveAttention(
        5, 6, 7, query_bias=True, score_bias=True, activation=activation, normalization=normalization, clip=clip
    ).double()
    query, values, kept = draw(3, 2, 5), draw(3, 4, 6), torch.arange(4) < torch.tensor([[4], [1], [3]])
    unit = torch.tanh if activation == "tanh" else torch.relu
    inside = layer.query_projection(query).unsqueeze(2) + layer.key_projection(values).unsqueeze(1)
    scores = unit(inside) @ layer.v + layer.score_bias
    scores = scores if clip is None else clip * scores.tanh()
    kept = kept.unsqueeze(1)
    if normalization == "softmax":
        expected = softmax_where(scores, kept)
    else:
        raw = scores.sigmoid() if normalization == "sigmoid" else scores
        expected = raw * kept
        expected = expected / expected.sum(2, keepdim=True) if normalization == "sigmoid" else expected
    context, weights = layer(query, values, lengths=[4, 1, 3])
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(context, expected @ values)
    context.square().sum().backward()
    shown = normalization == "softmax" and clip is None
    assert shown or layer.score_bias.grad.abs() > 0


def test_holds_the_weights_of_the_captioning_tutorial_by_sgrvinod():
    """Its ``Attention`` adds two projections with biases, takes ReLU, and a linear layer with a bias after it."""
    encoder_att, encoder_bias, decoder_att, decoder_bias = draw(7, 6), draw(7), draw(7, 5), draw(7)
    full_att, full_bias = draw(1, 7), draw(1)
    encoder_out, decoder_hidden = draw(3, 4, 6), draw(3, 5)
    both = encoder_out @ encoder_att.T + encoder_bias + (decoder_hidden @ decoder_att.T + decoder_bias).unsqueeze(1)
    alpha = torch.softmax((torch.relu(both) @ full_att.T + full_bias).squeeze(2), dim=1)

    layer = AdditiveAttention(5, 6, 7, query_bias=True, score_bias=True, activation="relu").double()
    layer.load_state_dict(
        {
            "query_projection.weight": decoder_att, "query_projection.bias": decoder_bias,
            "key_projection.weight": encoder_att, "key_projection.bias": encoder_bias,
            "v": full_att[0], "score_bias": full_bias,
        }
    )  # fmt: skip
    context, weights = layer(decoder_hidden, encoder_out)
    torch.testing.assert_close(weights, alpha)
    torch.testing.assert_close(context, (encoder_out * alpha.unsqueeze(2)).sum(1))


def test_holds_the_weights_of_d2l_with_lengths_for_each_query():
    """d2l's ``AdditiveAttention``: no biases, ``valid_lens`` [B] or [B, Tq], dropout on the weights while training."""
    w_q, w_k, w_v = draw(7, 5), draw(7, 6), draw(1, 7)
    queries, keys, values = draw(2, 3, 5), draw(2, 4, 6), draw(2, 4, 8)
    valid_lens = torch.tensor([[4, 2, 1], [3, 3, 4]])
    scores = (torch.tanh((queries @ w_q.T).unsqueeze(2) + (keys @ w_k.T).unsqueeze(1)) @ w_v.T).squeeze(-1)
    expected = softmax_where(scores, torch.arange(4) < valid_lens.unsqueeze(2))

    layer = AdditiveAttention(5, 6, 7, key_bias=False, dropout=0.5).double().eval()
    layer.load_state_dict({"query_projection.weight": w_q, "key_projection.weight": w_k, "v": w_v[0]})
    context, weights = layer(queries, values, keys=keys, lengths=valid_lens)
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(context, expected @ values)
    torch.manual_seed(3)
    _, dropped = layer.train()(queries, values, keys=keys, lengths=valid_lens)
    torch.manual_seed(3)
    torch.testing.assert_close(layer(queries, values, keys=keys, lengths=valid_lens)[1], dropped, rtol=0, atol=0)
    zero = dropped == 0
    torch.testing.assert_close(dropped[~zero], 2 * expected[~zero])
    assert zero.sum() > (expected == 0).sum()


@pytest.mark.filterwarnings("ignore:mask attends to nothing")
@pytest.mark.parametrize("kind", ATTENTIONS)
@given(
    queries=st.sampled_from([None, 1, 3]),
    per_query=st.booleans(),
    rows=st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=2, max_size=2),
    seed=st.integers(0, 9),
)
def test_limits_of_a_call_are_anded_with_the_memorys(kind, queries, per_query, rows, seed):
    torch.manual_seed(seed)
    layer, values = make_attention(kind, 5, 5, 7).double(), draw(2, 4, 5)
    query = draw(2, 5) if queries is None else draw(2, queries, 5)
    columns = queries if per_query and queries else 1
    lengths, mask = torch.tensor(rows)[:, :columns], torch.rand(2, columns, 4) > 0.4
    memory = layer.memory(values, lengths=(4, 3))
    kept = (torch.arange(4) < lengths.unsqueeze(2)) & mask & (torch.arange(4) < torch.tensor([[[4]], [[3]]]))
    expected = torch.stack(
        [
            layer(query.reshape(2, -1, 5)[:, i], values, mask=kept[:, min(i, columns - 1)])[1]
            for i in range(queries or 1)
        ],
        dim=1,
    )
    given_lengths = lengths if columns > 1 else lengths[:, 0].tolist()
    for context, weights in (
        layer(query, memory=memory, lengths=given_lengths, mask=mask),
        layer(query, values, lengths=given_lengths, mask=mask & (torch.arange(4) < torch.tensor([[[4]], [[3]]]))),
    ):
        torch.testing.assert_close(weights.reshape(expected.shape), expected)
        torch.testing.assert_close(context.reshape(2, -1, 5), expected @ values)
    alone, none = layer(query, memory=memory, lengths=given_lengths, mask=mask, need_weights=False)
    assert none is None
    torch.testing.assert_close(alone, context)


def test_a_decoder_calls_an_attention_that_its_operators_do_not_have():
    encoder = Encoder(4, 5)
    decoder = AttentionDecoder(9, 4, 6, encoder.output_size, encoder.summary_size)
    tokens, encoded = torch.tensor([[1, 2, 3]]), encoder(torch.randn(1, 7, 4), torch.tensor([7]))
    plain = decoder(tokens, decoder.initial_state(encoded)).weights
    relu = AdditiveAttention(6, 10, 6, activation="relu")
    relu.load_state_dict(decoder.attention.state_dict())
    decoder.attention = relu
    found = decoder(tokens, decoder.initial_state(encoded))
    assert not torch.allclose(found.weights, plain)
    state = decoder.initial_state(encoded)
    query = torch.tanh(decoder.bridges[0](encoded.summary))
    torch.testing.assert_close(found.weights[:, 0], relu(query, memory=state.memory)[1])


def test_under_autocast_the_bias_is_cast_too():
    layer = AdditiveAttention(5, 6, 7, score_bias=True, normalization="sigmoid")
    query, values = torch.randn(2, 5), torch.randn(2, 4, 6)
    exact = layer(query, values)[0]
    with torch.autocast("cpu", torch.bfloat16):
        context, _ = layer(query, values)
    assert context.dtype == torch.bfloat16
    torch.testing.assert_close(context.float(), exact, atol=0.05, rtol=0.05)


def test_what_is_not_the_default_is_printed_and_old_weights_load():
    layer = AdditiveAttention(3, 4, 5, activation="relu", clip=2.0, dropout=0.5)
    assert "3, 4, 5, activation='relu', clip=2.0, dropout=0.5" in repr(layer)
    names = {"v", "query_projection.weight", "key_projection.weight", "key_projection.bias"}
    assert set(AdditiveAttention(3, 4, 5).state_dict()) == names
    with pytest.raises(ValueError, match="activation must be one of 'tanh', 'relu'"):
        AdditiveAttention(3, 4, 5, activation="gelu")
    with pytest.raises(ValueError, match="clip must be a positive number"):
        AdditiveAttention(3, 4, 5, clip=0)
