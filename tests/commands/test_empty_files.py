"""Empty files where text is wanted."""

import pytest

from seq2seq_fast import cli
from seq2seq_fast.data import build_vocabulary
from seq2seq_fast.decoding import save_model_folder
from tests.decoding.models import small_model

LINES = ["ein Hund", "der kleine Hund sieht die Katze"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    vocabulary = build_vocabulary(LINES, "words", 40)
    network = small_model(len(vocabulary), source_vocabulary=len(vocabulary))
    return save_model_folder(tmp_path_factory.mktemp("model"), network, vocabulary, vocabulary)


@pytest.fixture
def files(model, tmp_path):
    (tmp_path / "EMPTY").touch()
    (tmp_path / "TEXT").write_text("ein Hund\n")
    return {"MODEL": str(model), **{name: str(tmp_path / name) for name in ("EMPTY", "TEXT")}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("align MODEL --src EMPTY", "EMPTY: the file is empty"),
        ("align MODEL --src EMPTY --ref EMPTY", "EMPTY: the file is empty"),
        ("align MODEL --src TEXT --ref TEXT --gold EMPTY", "EMPTY has 0 lines but there are 1 pairs"),
        ("evaluate MODEL --src EMPTY --ref EMPTY", "EMPTY: the file is empty"),
        ("translate MODEL TEXT --prefixes EMPTY", "EMPTY: its lines are not as many as those to translate"),
        ("train --data.train_source EMPTY --data.train_target EMPTY", "EMPTY: the file is empty"),
    ],
)
def test_an_empty_file_is_named(files, capsys, arguments, message):
    assert cli.main([files.get(argument, argument) for argument in arguments.split()]) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("format", ["text", "jsonl"])
def test_the_translation_of_nothing_is_nothing(files, capsys, format):
    assert cli.main(["translate", files["MODEL"], files["EMPTY"], "--format", format]) == 0
    assert capsys.readouterr() == ("", "")
