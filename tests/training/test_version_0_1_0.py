"""Folders and checkpoints of version 0.1.0: they load, translate as they did, and trainings go on."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from seq2seq_fast.decoding import SearchConfig, Translator
from seq2seq_fast.nn import Seq2Seq
from seq2seq_fast.training import DataConfig, OptimizationConfig, TeacherForcingConfig, TrainingConfig, VocabularyConfig
from seq2seq_fast.training.run import train

DATA = Path(__file__).parents[1] / "data/version_0_1_0"
KINDS = ["words", "sentencepiece"]


def expected(kind):
    return json.loads((DATA / kind / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beam", [1, 4])
def test_a_folder_translates_as_it_did(kind, beam):
    sources = (DATA / "train.de").read_text(encoding="utf-8").splitlines()[:6]
    found = Translator.load(DATA / kind).translate(sources, SearchConfig(beam_size=beam))
    assert found == expected(kind)[f"beam {beam}"]


@pytest.mark.parametrize("kind", KINDS)
def test_from_pretrained_reads_the_weights_of_a_folder(kind):
    model, state = Seq2Seq.from_pretrained(DATA / kind), Translator.load(DATA / kind).model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def resume(kind, tmp_path, **training):
    """Resume a copy of the training with the settings that it left, and return its result and curves."""
    shutil.copytree(DATA / kind, tmp_path / kind, dirs_exist_ok=True)
    wrote = yaml.safe_load((DATA / kind / "training/settings.yaml").read_text(encoding="utf-8"))
    changes = {"output": str(tmp_path / kind), "resume": True} | training
    result = train(
        DataConfig(**(wrote["data"] | {"folder": str(DATA)})),
        VocabularyConfig(**wrote["vocabulary"]),
        wrote["model"],
        OptimizationConfig(**wrote["optimization"]),
        TrainingConfig(**(wrote["training"] | changes)),
        TeacherForcingConfig(**wrote["teacher_forcing"]),
    )
    state = torch.load(tmp_path / kind / "training/checkpoints/last.ckpt", weights_only=True)
    return result, state["callbacks"]["Curves"]["points"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_goes_on_as_it_did(kind, tmp_path):
    went_on = expected(kind)["resumed"]
    result, points = resume(kind, tmp_path, max_epochs=went_on["max_epochs"])
    assert (result.steps, result.bleu) == (went_on["steps"], pytest.approx(expected(kind)["bleu"], abs=0.01))
    assert len(points["validation_loss"]) == went_on["max_epochs"], "the points of before are still there"
    found = [tuple(point) for point in points["validation_loss"][-2:]]
    # Other processors add up in another order.
    assert found == [(step, pytest.approx(loss, rel=1e-3)) for step, loss in went_on["validation_loss"]]
    # An equal score goes to the later checkpoint, whose validation loss is known.
    kept, before = ([path.name for path in folder.rglob("step*.ckpt")] for folder in (tmp_path / kind, DATA / kind))
    assert [name.partition("-")[2] for name in kept] == [name.partition("-")[2] for name in before]
