import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seq2seq_fast.nn import Encoder
from seq2seq_fast.nn.cell_kinds import CELLS
from seq2seq_fast.nn.cells import hidden_of, map_state
from tests.nn.test_recurrence import TORCH, close, path  # noqa: F401


def copy_weights(encoder, layer):
    """Give a torch.nn layer the encoder's weights."""
    weights = {}
    for cells, end in ((encoder.forward_cells, ""), (encoder.backward_cells or [], "_reverse")):
        for index, cell in enumerate(cells):
            weights |= {f"{name}_l{index}{end}": value for name, value in cell.state_dict().items()}
    layer.load_state_dict(weights)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_stack_gives_torchs_numbers(kind, bidirectional):
    encoder = Encoder(3, 4, vocabulary_size=9, cell=kind, layers=2, bidirectional=bidirectional)
    layer = TORCH[kind](3, 4, num_layers=2, batch_first=True, bidirectional=bidirectional)
    copy_weights(encoder, layer)
    tokens, lengths = torch.randint(0, 9, (4, 5)), torch.tensor([2, 5, 1, 4])
    packed = pack_padded_sequence(encoder.embedding(tokens), lengths, batch_first=True, enforce_sorted=False)
    outputs, final = layer(packed)
    outputs = pad_packed_sequence(outputs, batch_first=True)[0]
    encoded = encoder(tokens, lengths)
    torch.testing.assert_close(encoded.outputs, outputs)
    directions = 2 if bidirectional else 1
    for index, state in enumerate(encoded.final_states):
        rows = slice(directions * index, directions * (index + 1))
        close(state, map_state(lambda part, rows=rows: torch.cat(list(part[rows]), dim=1), final))
    expected = outputs[:, 0, 4:] if bidirectional else outputs[torch.arange(4), lengths - 1]
    torch.testing.assert_close(encoded.summary, expected)
    assert encoder.output_size == outputs.shape[2] and encoder.summary_size == encoded.summary.shape[1]


@given(
    kind=st.sampled_from(CELLS),
    reset_after=st.booleans(),
    bidirectional=st.booleans(),
    layers=st.integers(1, 3),
    residual=st.booleans(),
    features=st.booleans(),
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=3),
)
def test_padding_changes_nothing_and_a_batch_is_its_sequences(
    kind, reset_after, bidirectional, layers, residual, features, lengths
):
    vocabulary_size = None if features else 9
    encoder = Encoder(
        3, 4, vocabulary_size=vocabulary_size, cell=kind, reset_after=reset_after, layers=layers,
        bidirectional=bidirectional, residual=residual,
    ).double()  # fmt: skip
    batch, lengths = len(lengths), torch.tensor(lengths)
    source = torch.randn(batch, 6, 3, dtype=torch.float64) if features else torch.randint(0, 9, (batch, 6))
    padding = torch.arange(6) >= lengths[:, None]
    source[padding] = torch.nan if features else -7
    encoded = encoder(source, lengths)
    assert (encoded.outputs[padding] == 0).all()
    for row, length in enumerate(lengths.tolist()):
        alone = encoder(source[row : row + 1, :length])
        torch.testing.assert_close(encoded.outputs[row, :length], alone.outputs[0])
        torch.testing.assert_close(encoded.summary[row], alone.summary[0])
        for state, alone_state in zip(encoded.final_states, alone.final_states, strict=True):
            close(map_state(lambda part, row=row: part[row], state), map_state(lambda part: part[0], alone_state))
    loss = encoded.outputs.sum() + encoded.summary.square().sum() + hidden_of(encoded.final_states[-1]).sum()
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


def test_residual_adds_a_layers_input_to_its_output():
    torch.manual_seed(1)
    plain = Encoder(3, 4, layers=2)
    torch.manual_seed(1)
    residual = Encoder(3, 4, layers=2, residual=True)
    first = Encoder(3, 4)
    first.load_state_dict({name: value for name, value in plain.state_dict().items() if "cells.0" in name})
    features = torch.randn(2, 5, 3)
    torch.testing.assert_close(residual(features).outputs, plain(features).outputs + first(features).outputs)


@pytest.mark.parametrize("variational", [True, False])
def test_variational_embedding_dropout_is_the_same_at_every_position(variational):
    encoder = Encoder(20, 4, embedding_dropout=0.5, variational=variational)
    seen = []
    original = encoder._run_layer
    encoder._run_layer = lambda layer, inputs, lengths: seen.append(inputs) or original(layer, inputs, lengths)
    encoder(torch.ones(3, 6, 20))
    dropped = seen[0] == 0
    assert dropped.any() and set(seen[0].unique().tolist()) == {0.0, 2.0}
    assert bool((dropped == dropped[:, :1]).all()) is variational
    encoder.eval()
    encoder(torch.ones(3, 6, 20))
    assert (seen[1] == 1).all()


def test_dropout_between_layers_and_of_the_state_acts_in_training_only():
    features = torch.randn(3, 6, 3)
    for options in ({"dropout": 0.5}, {"recurrent_dropout": 0.5}):
        encoder = Encoder(3, 4, layers=2, **options)
        assert not torch.equal(encoder(features).outputs, encoder(features).outputs)
        encoder.eval()
        assert torch.equal(encoder(features).outputs, encoder(features).outputs)


def test_select_takes_sources():
    encoder, lengths = Encoder(3, 4, cell="lstm", layers=2), torch.tensor([5, 2, 4])
    features = torch.randn(3, 5, 3)
    selected, expected = (
        encoder(features, lengths).select(torch.tensor([2, 0])),
        encoder(features[[2, 0]], lengths[[2, 0]]),
    )
    torch.testing.assert_close(selected.outputs, expected.outputs)
    torch.testing.assert_close(selected.summary, expected.summary)
    close(selected.final_states[1], expected.final_states[1])
    assert selected.lengths.tolist() == [4, 5]


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="layers must be at least 1; got 0"):
        Encoder(3, 4, layers=0)
    with pytest.raises(ValueError, match="dropout must be at least 0 and less than 1; got 1"):
        Encoder(3, 4, dropout=1.0)
    with pytest.raises(ValueError, match=r"source must be \[B, Tx, E\] \(features\)"):
        Encoder(3, 4)(torch.randn(2, 5, 4))
    with pytest.raises(ValueError, match=r"source must have 2 dimensions, \[B, Tx\] \(tokens\)"):
        Encoder(3, 4, vocabulary_size=5)(torch.randn(2, 5, 4))
    with pytest.raises(ValueError, match="lengths must lie between 0 and the source's 5 positions"):
        Encoder(3, 4)(torch.randn(2, 5, 3), torch.tensor([6, 1]))
    with pytest.raises(TypeError, match="lengths must be integers"):
        Encoder(3, 4)(torch.randn(2, 5, 3), torch.tensor([3.0, 1.0]))
