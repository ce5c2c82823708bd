"""The vocabulary loss."""

import pytest
import torch
import torch.nn.functional as F

from seq2seq_fast.training import loss as module
from seq2seq_fast.training.loss import vocabulary_loss

PAD = 0


@pytest.fixture
def case():
    readout = torch.randn(3, 5, 7, dtype=torch.float64, requires_grad=True)
    projection = torch.nn.Linear(7, 11, dtype=torch.float64)
    target = torch.randint(1, 11, (3, 5))
    target[1, 3:] = PAD
    return readout, projection, target


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_it_is_the_smoothed_cross_entropy_of_the_pieces_that_are_no_padding(case, smoothing, plain, monkeypatch):
    if plain:
        monkeypatch.setattr(module, "_linear_cross_entropy", None)
    readout, projection, target = case
    log_probabilities = projection(readout).log_softmax(-1)
    wanted = []
    for row, column in (target != PAD).nonzero().tolist():
        distribution = torch.full((11,), smoothing / 11, dtype=torch.float64)
        distribution[target[row, column]] += 1 - smoothing
        wanted.append(-(distribution * log_probabilities[row, column]).sum())
    loss = vocabulary_loss(readout, projection, target, pad_id=PAD, label_smoothing=smoothing)
    torch.testing.assert_close(loss, torch.stack(wanted).mean())


def test_it_is_torchs_loss_of_projection_and_pieces_where_there_is_one(case, monkeypatch):
    assert module._linear_cross_entropy is getattr(F, "linear_cross_entropy", None)
    calls = []

    def loss(rows, weight, pieces, *, linear_bias, **settings):
        calls.append(settings)
        return F.cross_entropy(F.linear(rows, weight, linear_bias), pieces, **settings)

    monkeypatch.setattr(module, "_linear_cross_entropy", loss)
    vocabulary_loss(*case, pad_id=PAD, label_smoothing=0.1)
    assert calls == [{"ignore_index": PAD, "label_smoothing": 0.1}]


def test_padding_gets_no_gradient(case):
    readout, projection, target = case
    vocabulary_loss(readout, projection, target, pad_id=PAD).backward()
    assert (readout.grad[1, 3:] == 0).all() and (readout.grad[target != PAD] != 0).any(1).all()
