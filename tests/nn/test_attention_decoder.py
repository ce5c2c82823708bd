import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.nn import AttentionDecoder, Encoder, Seq2Seq
from tests.nn.support import batch_of, configs, tiny


def run_steps(model, tokens, state):
    logits, weights = [], []
    for position in tokens.unbind(-1):
        step = model.step(position, state)
        state = step.state
        logits.append(step.logits)
        weights.append(step.weights)
    return torch.stack(logits, dim=1), None if weights[0] is None else torch.stack(weights, dim=1), state


def close_states(state, expected):
    for layer, expected_layer in zip(state.layers, expected.layers, strict=True):
        torch.testing.assert_close(layer, expected_layer)
    torch.testing.assert_close(state.feed, expected.feed)


@given(config=configs(), project_values=st.booleans())
def test_whole_sequences_equal_step_by_step(config, project_values):
    model = Seq2Seq(config).eval()
    source, lengths, target = batch_of(config)
    output = model(source, lengths, target)
    state = model.start(model.encode(source, lengths), project_values=project_values)
    logits, weights, last = run_steps(model, target, state)
    torch.testing.assert_close(model.logits(output.readout), logits)
    torch.testing.assert_close(output.weights, weights)
    close_states(output.state, last)
    without = model(source, lengths, target, need_weights=False)
    torch.testing.assert_close(without.readout, output.readout)
    assert without.weights is None


@given(config=configs(dropout=0.3))
def test_in_training_a_states_masks_hold_for_sequences_and_steps_alike(config):
    model = Seq2Seq(config).train()
    source, lengths, target = batch_of(config)
    state = model.start(model.encode(source, lengths))
    assert state.masks
    output = model.decoder(target, state)
    logits, _, last = run_steps(model, target, state)
    torch.testing.assert_close(model.logits(output.readout), logits)
    close_states(output.state, last)
    again = model.decoder(target, model.start(model.encode(source, lengths)))
    assert not torch.allclose(output.readout, again.readout)


@given(config=configs())
def test_beams_are_queries_on_one_memory(config):
    model = Seq2Seq(config).eval()
    source, lengths, _ = batch_of(config, lengths=(4, 2))
    start = model.start(model.encode(source, lengths))
    tokens = torch.randint(0, 11, (2, 3, 4))
    state, alone = start.expand(3), [start] * 3
    assert state.beams == 3 and start.beams is None
    if start.memory is not None:
        assert state.memory is start.memory
    for position in tokens.unbind(2):
        step = model.step(position, state)
        state = step.state
        steps = [model.step(position[:, beam], alone[beam]) for beam in range(3)]
        alone = [single.state for single in steps]
        torch.testing.assert_close(step.logits, torch.stack([single.logits for single in steps], dim=1))
        if step.weights is not None:
            torch.testing.assert_close(step.weights, torch.stack([single.weights for single in steps], dim=1))


@given(config=configs())
def test_a_batch_gives_what_its_sentences_give_and_padding_changes_nothing(config):
    model = Seq2Seq(config).double().eval()
    source, lengths, target = batch_of(config, lengths=(5, 1, 3), dtype=torch.float64)
    output = model(source, lengths, target)
    for row, length in enumerate(lengths.tolist()):
        alone = model(source[row : row + 1, :length], None, target[row : row + 1])
        torch.testing.assert_close(output.readout[row], alone.readout[0])
        if output.weights is not None:
            torch.testing.assert_close(output.weights[row, :, :length], alone.weights[0])
            assert (output.weights[row, :, length:] == 0).all()


@given(config=configs(dropout=0.2))
def test_every_parameter_gets_a_finite_gradient(config):
    model = Seq2Seq(config)
    source, lengths, target = batch_of(config)
    model.logits(model(source, lengths, target).readout).logsumexp(dim=2).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_nematus_decoder_written_out():
    encoder = Encoder(3, 4)
    decoder = AttentionDecoder(11, 5, 6, encoder.output_size, encoder.summary_size, conditional=True)
    encoded = encoder(torch.randn(2, 4, 3), torch.tensor([4, 2]))
    tokens = torch.randint(0, 11, (2, 3))
    output = decoder(tokens, decoder.initial_state(encoded))
    s = torch.tanh(decoder.bridges[0](encoded.summary))
    for position in range(3):
        y = decoder.embedding(tokens[:, position])
        between = torch.gru_cell(y, s, *decoder.cells[0].parameters())
        c, alpha = decoder.attention(between, encoded.outputs, lengths=encoded.lengths)
        s = torch.gru_cell(c, between, *decoder.context_cell.parameters())
        torch.testing.assert_close(output.weights[:, position], alpha)
        torch.testing.assert_close(output.readout[:, position], decoder.readout(s, c, y))
    torch.testing.assert_close(output.state.layers[0], s)


def test_the_papers_decoder_written_out():
    encoder = Encoder(3, 4)
    decoder = AttentionDecoder(11, 5, 6, encoder.output_size, encoder.summary_size, attention_size=7)
    encoded = encoder(torch.randn(2, 4, 3), torch.tensor([4, 2]))
    tokens = torch.randint(0, 11, (2, 3))
    output = decoder(tokens, decoder.initial_state(encoded))
    cell, attention, annotations = decoder.cells[0], decoder.attention, encoded.outputs
    keys = annotations @ attention.key_projection.weight.T + attention.key_projection.bias
    attended = torch.arange(4) < torch.tensor([[4], [2]])
    s = torch.tanh(decoder.bridges[0](annotations[:, 0, 4:]))
    for position in range(3):
        y = decoder.embedding(tokens[:, position])
        e = torch.tanh((s @ attention.query_projection.weight.T).unsqueeze(1) + keys) @ attention.v
        alpha = torch.softmax(e.masked_fill(~attended, -torch.inf), dim=1)
        c = (alpha.unsqueeze(2) * annotations).sum(dim=1)
        s = torch.gru_cell(torch.cat([y, c], dim=1), s, cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
        t = decoder.readout.projection(torch.cat([s, c, y], dim=1)).unflatten(1, (2, 5)).amax(dim=1)
        torch.testing.assert_close(output.weights[:, position], alpha)
        torch.testing.assert_close(output.readout[:, position], t)
        torch.testing.assert_close(decoder.logits(output.readout)[:, position], decoder.output(t))
    torch.testing.assert_close(output.state.layers[0], s)


def test_input_feeding_puts_the_readout_into_the_next_input():
    decoder = AttentionDecoder(
        11, 5, 6, 6, 3, attention="multiplicative", attention_position="after", cell="lstm", readout="tanh"
    )
    encoded = Encoder(3, 3)(torch.randn(2, 4, 3))
    state = decoder.initial_state(encoded)
    cell, feed, layer = decoder.cells[0], torch.zeros(2, 5), state.layers[0]
    tokens = torch.randint(0, 11, (2, 3))
    output = decoder(tokens, state)
    for position in range(3):
        layer = cell(torch.cat([decoder.embedding(tokens[:, position]), feed], dim=1), layer)
        context, _ = decoder.attention(layer[0], encoded.outputs)
        feed = torch.tanh(decoder.readout.projection(torch.cat([layer[0], context], dim=1)))
        torch.testing.assert_close(output.readout[:, position], feed)


def test_without_attention_the_context_is_the_encoders_final_state():
    config = tiny(attention=None)
    model = Seq2Seq(config)
    source, lengths, target = batch_of(config)
    encoded = model.encode(source, lengths)
    state = model.start(encoded)
    assert state.memory is None and torch.equal(state.context, encoded.final_states[-1])
    assert model(source, lengths, target).weights is None


@pytest.mark.parametrize("options", [{}, {"attention_position": "after"}, {"attention": None}])
def test_no_positions_leave_the_state_as_it_was(options):
    config = tiny(**options)
    model = Seq2Seq(config)
    source, lengths, target = batch_of(config, target=0)
    output = model(source, lengths, target)
    assert output.readout.shape == (3, 0, 4)
    assert output.weights is None or output.weights.shape == (3, 0, 5)
    close_states(output.state, model.start(model.encode(source, lengths)))


def test_whole_sequences_can_go_on_from_a_state():
    config = tiny(cell="lstm", decoder_layers=2)
    model = Seq2Seq(config).eval()
    source, lengths, target = batch_of(config, target=6)
    whole = model(source, lengths, target)
    first = model.decoder(target[:, :2], model.start(model.encode(source, lengths)))
    second = model.decoder(target[:, 2:], first.state)
    torch.testing.assert_close(torch.cat([first.readout, second.readout], dim=1), whole.readout)


def test_tied_embeddings_are_one_matrix():
    decoder = AttentionDecoder(11, 5, 6, 6, 3, tie_embeddings=True)
    assert decoder.output.weight is decoder.embedding.weight


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="attention_position must be one of 'before', 'after'; got 'around'"):
        AttentionDecoder(11, 5, 6, 6, 3, attention_position="around")
    with pytest.raises(ValueError, match='"after" needs an attention'):
        AttentionDecoder(11, 5, 6, 6, 3, attention=None, attention_position="after")
    with pytest.raises(ValueError, match="tie_embeddings needs readout_size to be embedding_size, 5; got 4"):
        AttentionDecoder(11, 5, 6, 6, 3, tie_embeddings=True, readout_size=4)
    with pytest.raises(ValueError, match="layers must be at least 1"):
        AttentionDecoder(11, 5, 6, 6, 3, layers=0)
    decoder = AttentionDecoder(11, 5, 6, 6, 3)
    state = decoder.initial_state(Encoder(3, 3)(torch.randn(2, 4, 3)))
    with pytest.raises(ValueError, match=r"tokens must be \[B, Ty\]"):
        decoder(torch.zeros(3, 4, dtype=torch.int64), state)
    with pytest.raises(ValueError, match="whole sequences need a state without beams; this one has 2"):
        decoder(torch.zeros(2, 4, dtype=torch.int64), state.expand(2))
    with pytest.raises(ValueError, match=r"tokens must be \[B, K\] = \[2, 3\]"):
        decoder.step(torch.zeros(2, 2, dtype=torch.int64), state.expand(3))
    with pytest.raises(ValueError, match="no fixed context"):
        AttentionDecoder(11, 5, 6, 6, 3, attention=None).step(torch.zeros(2, dtype=torch.int64), state)
