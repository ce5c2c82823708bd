"""The command that averages models and checkpoints."""

import shutil

import pytest
import torch
import yaml

from seq2seq_fast import cli
from seq2seq_fast.data import build_vocabulary
from seq2seq_fast.decoding import Translator, save_model_folder
from tests.decoding.models import small_model

LINES = ["ein Hund", "der kleine Hund sieht die Katze"]


def run(*arguments):
    return cli.main(["average", *(str(argument) for argument in arguments)])


def save(folder, seed, lines=LINES):
    vocabulary = build_vocabulary(lines, "words", 40)
    model = small_model(len(vocabulary), source_vocabulary=len(vocabulary), seed=seed)
    save_model_folder(folder, model, vocabulary, vocabulary)
    return model, vocabulary


@pytest.fixture
def models(tmp_path):
    return [save(tmp_path / name, seed)[0] for seed, name in enumerate("abc")]


@pytest.fixture
def trained(tmp_path, models):
    """Folder a, as if its training had kept the weights of all three models."""
    folder = tmp_path / "a/training/checkpoints"
    folder.mkdir(parents=True)
    for file in tmp_path.glob("a/vocabulary.*"):
        shutil.copy(file, folder.parent)
    for model, names in zip(models, ["step5-bleu7.00 recent-step5", "step10-bleu11.50 recent-step10", "step3-bleu8.00"],
                            strict=True):  # fmt: skip
        state = {f"model.{name}": value for name, value in model.state_dict().items()}
        for name in names.split():
            torch.save({"state_dict": state}, folder / f"{name}.ckpt")
    return folder


def check(folder, models):
    for name, value in Translator.load(folder).model.state_dict().items():
        expected = sum(model.state_dict()[name].double() for model in models) / len(models)
        torch.testing.assert_close(value, expected.float())


def test_model_folders_and_checkpoints_are_averaged(models, trained, tmp_path):
    assert run(*(tmp_path / name for name in "abc"), "--output", tmp_path / "out") == 0
    check(tmp_path / "out", models)
    assert run(trained / "recent-step10.ckpt", tmp_path / "c", "--output", tmp_path / "mixed") == 0
    check(tmp_path / "mixed", models[1:])


def test_the_best_and_the_last_checkpoints_of_a_training(models, trained, tmp_path):
    assert run(tmp_path / "a", "--best", 2, "--output", tmp_path / "best") == 0
    check(tmp_path / "best", models[1:])
    assert run(tmp_path / "a", "--last", 2, "--output", tmp_path / "last") == 0
    check(tmp_path / "last", models[:2])


def test_one_checkpoint_becomes_a_model_folder_even_of_a_training_that_has_not_ended(models, trained, tmp_path, capsys):
    assert run(trained / "step3-bleu8.00.ckpt", "--output", tmp_path / "early") == 0
    check(tmp_path / "early", models[2:])
    assert capsys.readouterr().out == f"{tmp_path / 'early'}: the weights of step3-bleu8.00.ckpt\n"
    for path in tmp_path.glob("a/*.*"):
        path.unlink()
    config = {name: value for name, value in vars(models[0].config).items() if not name.endswith("vocabulary_size")}
    (trained.parent / "settings.yaml").write_text(
        yaml.safe_dump({"vocabulary": {}, "model": config, "optimization": {}})
    )
    assert run(trained / "step3-bleu8.00.ckpt", "--output", tmp_path / "killed") == 0
    check(tmp_path / "killed", models[2:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "--output", "out"], "a: one alone has no average"),
        (["a", "b", "--output", "c"], "c already holds a model"),
        (["a", "b", "--output", "a/config.json"], "a/config.json: is a file, a folder is wanted"),
        (["a", "other", "--output", "out"], "other: its vocabularies are others"),
        (["a", "--best", 4, "--output", "out"], "has 3 of the 4 best checkpoints wanted"),
        (["a", "--best", 2, "--last", 2, "--output", "out"], "exclude each other"),
        (["a", "b", "--last", 2, "--output", "out"], "takes at least 1 checkpoint of one model folder"),
        (["a", "nowhere", "--output", "out"], "nowhere: no such model folder"),
        (["a", "a/training/checkpoints/none.ckpt", "--output", "out"], "none.ckpt: no such file"),
        (["a", "loose.ckpt", "--output", "out"], "loose.ckpt: a checkpoint must lie where its training kept it"),
        (["a", "variant", "--output", "out"], "variant: has residual=True, the first input False"),
        (["grown", "--best", 2, "--output", "out"], "is of another model than the folder"),
    ],
)
def test_what_cannot_be_averaged_is_one_line(trained, tmp_path, capsys, monkeypatch, arguments, message):
    save(tmp_path / "other", 0, ["drei Affen"])
    _, vocabulary = save(tmp_path / "grown", 0)
    shutil.copytree(tmp_path / "a/training", tmp_path / "grown/training")
    for name, options in (("variant", {"residual": True}), ("grown", {"decoder_hidden_size": 11})):
        changed = small_model(len(vocabulary), source_vocabulary=len(vocabulary), **options)
        save_model_folder(tmp_path / name, changed, vocabulary, vocabulary)
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    err = capsys.readouterr().err
    assert message in err and len(err.splitlines()) == 1 and not (tmp_path / "out").exists()
