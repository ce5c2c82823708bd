"""The batches of a training, epoch by epoch."""

import pytest

from seq2seq_fast.training.module import TranslationModule
from seq2seq_fast.training.run import train
from tests.training.corpora import settings, write_corpus

EPOCHS = 3


@pytest.fixture
def epochs(monkeypatch):
    """The numbers of the pairs of every batch, by epoch."""
    seen: list[list[list[int]]] = [[] for _ in range(EPOCHS)]
    original = TranslationModule.training_step

    def step(module, batch, index):
        seen[module.trainer.current_epoch].append(batch.numbers.tolist())
        return original(module, batch, index)

    monkeypatch.setattr(TranslationModule, "training_step", step)
    return seen


@pytest.mark.parametrize("workers", [0, 1])
def test_each_epoch_shuffles_anew_has_every_pair_once_and_ends_with_a_validation(tmp_path, epochs, workers, capsys):
    corpus = write_corpus(tmp_path / "corpus", train=160, max_words=20)
    data = {"pool_batches": 2, "batch_tokens": 100, "workers": workers}
    train(*settings(corpus, tmp_path / "model", data=data, max_epochs=EPOCHS))
    pairs = [sorted(pair for batch in epoch for pair in batch) for epoch in epochs]
    assert pairs == [list(range(160))] * EPOCHS
    assert len({str(epoch) for epoch in epochs}) == EPOCHS
    assert len({str(sorted(map(sorted, epoch))) for epoch in epochs}) == EPOCHS
    assert len({len(epoch) for epoch in epochs}) > 1, "epochs of other numbers of batches are the hard case"
    assert capsys.readouterr().err.count("validation loss") == EPOCHS
