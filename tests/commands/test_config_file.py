"""Configuration files that cannot be used: one line that names the file."""

import pytest

from seq2seq_fast import cli


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty, settings are wanted, such as 'training: {max_epochs: 10}'"),
        (b"# nothing\n", "is empty, settings are wanted"),
        (b"many words\n", "holds 'many words', settings are wanted"),
        (b"- data\n", "holds ['data'], settings are wanted"),
        (b"data: 3\n", "data is 3, settings are wanted"),
        (b"model:\ntraining:\n  max_epochs: 3\n", "model is empty, settings are wanted"),
        (b"data:\n  folder: [a\n", "not YAML (line 3, column 1: expected ',' or ']'"),
        (b"data: a: b\n", "not YAML (line 1, column 8: mapping values are not allowed here)"),
        (b"data: \x00\n", "not YAML ("),
        (b"data:\n  folder: \xff\n", "line 2 is not UTF-8"),
    ],
)
@pytest.mark.parametrize("joined", [False, True])
def test_a_file_that_holds_no_settings_is_named(tmp_path, capsys, content, message, joined):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    assert cli.main(["train", *([f"--config={path}"] if joined else ["--config", str(path)])]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"seq2seq-fast: error: {path}: ") and message in err and len(err.splitlines()) == 1


def test_a_folder_in_place_of_the_file_is_named(tmp_path, capsys):
    assert cli.main(["train", "--config", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"seq2seq-fast: error: {tmp_path}: is a folder, a text file is wanted\n"


def test_settings_in_place_of_a_file_are_taken(capsys):
    assert cli.main(["train", "--config", "{training: {max_epochs: 0}}"]) == 2
    assert "training.max_epochs must be at least 1; got 0" in capsys.readouterr().err
