"""The running average of the weights."""

import lightning.pytorch as pl
import pytest
import torch

from seq2seq_fast.decoding import Translator
from seq2seq_fast.training import run
from tests.training.corpora import settings, write_corpus

SAME = {"average": 0.6, "optimization": {"schedule": "constant", "warmup_steps": 1}, "model": {"dropout": 0.2}}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def last(output):
    return torch.load(output / "training/checkpoints/last.ckpt", weights_only=True)


def test_the_folder_holds_the_average_and_training_goes_on_with_the_weights(corpus, tmp_path, monkeypatch):
    seen = []

    class Watch(pl.Callback):
        def on_fit_start(self, trainer, module):
            seen.append([value.detach().clone() for value in module.parameters()])

        on_train_batch_end = lambda self, trainer, module, *_: self.on_fit_start(trainer, module)  # noqa: E731

    callbacks = run._callbacks
    monkeypatch.setattr(run, "_callbacks", lambda *arguments: [Watch(), *callbacks(*arguments)])
    run.train(*settings(corpus, tmp_path / "model", max_steps=6, validate_every=50.0, **SAME))
    average = seen[0]
    for step, weights in enumerate(seen[1:], start=1):
        keep = min(0.6, (1 + step) / (10 + step))
        average = [keep * old + (1 - keep) * new for old, new in zip(average, weights, strict=True)]
    assert len(seen) == 7
    written = Translator.load(tmp_path / "model").model
    for value, wanted in zip(written.parameters(), average, strict=True):
        torch.testing.assert_close(value.detach(), wanted)
    state = last(tmp_path / "model")["state_dict"]
    for value, (name, _) in zip(seen[-1], written.named_parameters(), strict=True):
        assert torch.equal(state[f"model.{name}"], value)


def test_it_goes_on_where_it_was_when_a_training_is_resumed(corpus, tmp_path):
    run.train(*settings(corpus, tmp_path / "whole", max_steps=7, **SAME))
    run.train(*settings(corpus, tmp_path / "parts", max_steps=3, **SAME))
    run.train(*settings(corpus, tmp_path / "parts", max_steps=7, resume=True, **SAME))
    averages = [last(tmp_path / name)["callbacks"]["WeightAverage"]["average"] for name in ("whole", "parts")]
    assert all(torch.equal(a, b) for a, b in zip(*averages, strict=True))
