import pytest
import torch
from hypothesis import given

from seq2seq_fast.nn import Seq2Seq
from seq2seq_fast.nn.cells import hidden_of
from tests.nn.support import batch_of, configs, tiny
from tests.nn.test_attention_decoder import close_states


@given(config=configs(dropout=0.2))
def test_selected_sources_go_on_as_they_would_have(config):
    model = Seq2Seq(config).train()
    source, lengths, target = batch_of(config, lengths=(4, 2, 3))
    state = model.start(model.encode(source, lengths), project_values=True)
    picked = torch.tensor([2, 0])
    places = model.decoder.dropout.places
    model.decoder.dropout.places = {place: (width, 0.0) for place, (width, _) in places.items()}
    for beams in (None, 2):
        before = state if beams is None else state.expand(beams)
        tokens = target[:, 0] if beams is None else target[:, :beams]
        whole, part = model.step(tokens, before), model.step(tokens[picked], before.select(picked))
        torch.testing.assert_close(part.logits, whole.logits[picked])
        close_states(part.state, whole.state.select(picked))


def test_a_boolean_selects_unfinished_sources():
    config = tiny(cell="lstm")
    model = Seq2Seq(config)
    source, lengths, _ = batch_of(config, lengths=(4, 2, 3))
    state = model.start(model.encode(source, lengths))
    kept = state.select(torch.tensor([True, False, True]))
    assert kept.batch == kept.memory.batch == 2
    close_states(kept, state.select(torch.tensor([0, 2])))


@given(config=configs())
def test_reordered_beams_take_their_state_and_leave_the_memory(config):
    model = Seq2Seq(config).eval()
    source, lengths, target = batch_of(config, lengths=(4, 2))
    state = model.step(target[:, :3], model.start(model.encode(source, lengths)).expand(3)).state
    index = torch.tensor([[2, 2], [0, 1]])
    reordered = state.reorder(index)
    assert reordered.beams == 2 and reordered.memory is state.memory
    rows = torch.arange(2).unsqueeze(1)
    for layer, expected in zip(reordered.layers, state.layers, strict=True):
        assert torch.equal(hidden_of(layer), hidden_of(expected)[rows, index])
    if state.feed is not None:
        assert torch.equal(reordered.feed, state.feed[rows, index])
    if state.history is not None:
        assert torch.equal(reordered.history.attended, state.history.attended[rows, index])


def test_errors_say_what_is_missing():
    config = tiny()
    model = Seq2Seq(config)
    source, lengths, _ = batch_of(config)
    state = model.start(model.encode(source, lengths))
    with pytest.raises(ValueError, match="reorder needs a state with beams"):
        state.reorder(torch.zeros(3, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="this one has 2"):
        state.expand(2).expand(2)
    with pytest.raises(ValueError, match="made by a decoder with attention"):
        state.fixed_context()
    plain = Seq2Seq(tiny(attention=None))
    with pytest.raises(ValueError, match="made by a decoder without attention"):
        plain.start(plain.encode(source, lengths)).source()
