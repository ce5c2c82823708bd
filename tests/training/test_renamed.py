"""Trainings that go on in a folder of another name, or with fewer epochs than they have had."""

import pytest

from seq2seq_fast.data import InputError
from seq2seq_fast.training.run import train
from tests.training.corpora import settings, write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def test_a_training_whose_folder_has_another_name_goes_on_with_its_best_checkpoints(corpus, tmp_path, recwarn):
    same = {"validate_every": 0.5, "keep_best": 3, "keep_last": 2, "optimization": {"schedule": "constant"}}
    train(*settings(corpus, tmp_path / "whole", max_steps=9, **same))
    train(*settings(corpus, tmp_path / "begun", max_steps=6, **same))
    (tmp_path / "begun").rename(tmp_path / "moved")
    train(*settings(corpus, tmp_path / "moved", max_steps=9, resume=True, **same))
    names = [{path.name for path in (tmp_path / name).rglob("*.ckpt")} for name in ("whole", "moved")]
    assert names[0] == names[1] and not (tmp_path / "begun").exists()
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "moved")]
    assert models[0] == models[1] and not [one for one in recwarn if "dirpath" in str(one.message)]


def test_a_training_of_more_epochs_than_it_may_have_is_named(corpus, tmp_path):
    train(*settings(corpus, tmp_path / "model", max_epochs=3))
    with pytest.raises(InputError, match=r"last\.ckpt: is of epoch 3: training\.max_epochs 1 is too few"):
        train(*settings(corpus, tmp_path / "model", max_epochs=1, resume=True))
