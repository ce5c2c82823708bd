"""Trainings that go on where they have stopped."""

import shutil

import pytest
import torch

from seq2seq_fast.data import InputError
from seq2seq_fast.training.callbacks import LastCheckpoint
from seq2seq_fast.training.run import train
from tests.training.corpora import settings, weights, write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def test_a_resumed_training_is_the_uninterrupted_one_bit_for_bit(corpus, tmp_path):
    same = {"optimization": {"schedule": "inverse_sqrt"}, "model": {"dropout": 0.3, "embedding_dropout": 0.2}}
    train(*settings(corpus, tmp_path / "whole", max_epochs=3, **same))
    train(*settings(corpus, tmp_path / "parts", max_epochs=1, **same))
    result = train(*settings(corpus, tmp_path / "parts", max_epochs=3, resume=True, **same))
    (whole, whole_adam), (parts, parts_adam) = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    for index, state in whole_adam.items():
        assert all(torch.equal(value, parts_adam[index][name]) for name, value in state.items())
    assert result.steps == int(whole_adam[0]["step"])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_training_stopped_within_an_epoch_goes_on_at_the_next_batch(corpus, tmp_path, workers):
    same = {"optimization": {"schedule": "constant"}, "model": {"dropout": 0.3}, "data": {"workers": workers}}
    train(*settings(corpus, tmp_path / "whole", max_steps=7, **same))
    train(*settings(corpus, tmp_path / "parts", max_steps=2, **same))
    train(*settings(corpus, tmp_path / "parts", max_steps=7, resume=True, **same))
    whole, parts = weights(tmp_path / "whole")[0], weights(tmp_path / "parts")[0]
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_training_stopped_between_the_batches_of_a_step_keeps_their_gradients(corpus, tmp_path, monkeypatch, capsys):
    same = {
        "optimization": {"schedule": "constant", "accumulate": 3},
        "model": {"dropout": 0.3},
        "validate_every": 0.34,
        "max_steps": 6,
    }
    train(*settings(corpus, tmp_path / "whole", **same))

    def write_and_die(callback, trainer, module, write=LastCheckpoint.on_validation_end):
        write(callback, trainer, module)
        raise RuntimeError("killed")

    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="killed"):
        patched.setattr(LastCheckpoint, "on_validation_end", write_and_die)
        train(*settings(corpus, tmp_path / "parts", **same))
    state = torch.load(tmp_path / "parts/training/checkpoints/last.ckpt", weights_only=True)
    assert state["gradients"], "no gradient was pending: the case is not met"
    shutil.copytree(tmp_path / "parts", tmp_path / "old")
    train(*settings(corpus, tmp_path / "parts", resume=True, **same))
    whole, parts = weights(tmp_path / "whole")[0], weights(tmp_path / "parts")[0]
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert "the gradients of those before it are left out" not in capsys.readouterr().err
    # Version 0.1.0 does not know the tokens that the gradients are of.
    del state["group"]
    torch.save(state, tmp_path / "old/training/checkpoints/last.ckpt")
    train(*settings(corpus, tmp_path / "old", resume=True, **same))
    assert capsys.readouterr().err.count("the gradients of those before it are left out") == 1


@pytest.mark.parametrize("limit", [{"max_steps": 3}, {"max_epochs": 1}, {"max_steps": 40, "patience": 1}])
def test_a_training_that_has_ended_is_resumed_without_another_step(corpus, tmp_path, limit):
    same = {"optimization": {"learning_rate": 1e-12}, "validate_every": 0.5} | limit
    ended = train(*settings(corpus, tmp_path / "model", **same))
    before = weights(tmp_path / "model")[0]
    resumed = train(*settings(corpus, tmp_path / "model", resume=True, **same))
    after = weights(tmp_path / "model")[0]
    assert resumed.steps == ended.steps and resumed.bleu == ended.bleu
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_resumed_training_forgets_a_best_checkpoint_whose_file_is_gone(corpus, tmp_path):
    train(*settings(corpus, tmp_path / "model", max_steps=2))
    for file in (tmp_path / "model/training/checkpoints").glob("step*.ckpt"):
        file.unlink()
    assert train(*settings(corpus, tmp_path / "model", max_steps=3, resume=True)).steps == 3


def test_a_resumed_training_keeps_its_vocabulary_and_refuses_other_settings_of_it(corpus, tmp_path):
    train(*settings(corpus, tmp_path / "model", max_steps=1))
    file = tmp_path / "model/training/source_vocabulary.json"
    before = (file.read_bytes(), file.stat().st_ino)
    train(*settings(corpus, tmp_path / "model", max_steps=2, resume=True))
    assert (file.read_bytes(), file.stat().st_ino) == before
    with pytest.raises(InputError, match=r"settings\.yaml: .* began with vocabulary\.size 400, not 300"):
        train(*settings(corpus, tmp_path / "model", max_steps=2, resume=True, vocabulary={"size": 300}))


def test_a_resumed_training_refuses_another_optimizer_and_settings_that_are_damaged(corpus, tmp_path):
    train(*settings(corpus, tmp_path / "model", max_steps=1))
    again = {"max_steps": 2, "resume": True}
    for optimizer in ("adadelta", "adamw"):
        with pytest.raises(InputError, match=f"began with optimization.optimizer adam, not {optimizer}: resume with"):
            train(*settings(corpus, tmp_path / "model", optimization={"optimizer": optimizer}, **again))
    file = tmp_path / "model/training/settings.yaml"
    for damaged in (b": [", b"data: {}", b"vocabulary: 5", b"\xff", b""):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match=r"settings\.yaml: not the settings that a training wrote \(\w+\): bring"):
            train(*settings(corpus, tmp_path / "model", **again))
        assert file.read_bytes() == damaged


def test_a_resumed_training_takes_the_learning_rate_and_the_decay_that_are_now_given(corpus, tmp_path):
    constant = {"schedule": "constant", "warmup_steps": 1}
    other = constant | {"learning_rate": 0.002, "weight_decay": 0.3}
    output = tmp_path / "model"
    train(*settings(corpus, output, max_steps=2, optimization=constant))
    before = weights(output)[0]
    train(*settings(corpus, output, max_steps=3, resume=True, optimization=other))
    state = torch.load(output / "training/checkpoints/last.ckpt", weights_only=True)
    [group] = state["optimizer_states"][0]["param_groups"]
    assert (group["lr"], group["weight_decay"]) == (pytest.approx(0.002), 0.3)
    moved = max(float((state["state_dict"][name] - before[name]).abs().max()) for name in before)
    assert 0.001 < moved < 0.004, "a step of Adam moves a weight by about the learning rate"
