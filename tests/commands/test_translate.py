"""``seq2seq-fast translate``: what it draws, and when it answers."""

import json

import pytest

from seq2seq_fast import cli
from seq2seq_fast.data import build_vocabulary
from seq2seq_fast.decoding import save_model_folder
from tests.decoding.models import small_model

LINES = ["ein Hund", "der kleine Hund sieht die Katze", "", "zwei Hunde und drei Katzen"]


def run(*arguments):
    return cli.main(["translate", *map(str, arguments)])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    vocabulary = build_vocabulary(LINES, "words", 40)
    network = small_model(len(vocabulary), source_vocabulary=len(vocabulary), sharpness=3.0, end=1.0)
    return save_model_folder(tmp_path_factory.mktemp("model"), network, vocabulary, vocabulary)


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text").write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    return tmp_path / "text"


def test_draws_are_as_many_as_asked_and_follow_the_seed_alone(model, text, capsys):
    drawn = {}
    for seed, lines in ((1, 512), (1, 1), (2, 512)):
        given = ("--search.sample", "true", "--search.seed", seed, "--lines", lines, "--n_best", 7)
        assert run(model, text, *given, "--search.temperature", 2.0, "--format", "jsonl") == 0
        drawn[seed, lines] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    texts = {key: [[one["text"] for one in each["translations"]] for each in found] for key, found in drawn.items()}
    assert texts[1, 512] == texts[1, 1] != texts[2, 512]
    assert [len(each) for each in texts[1, 512]] == [7, 7, 1, 7]
    assert run(model, text, "--search.sample", "true", "--n_best", 0) == 2
    assert "n_best must" in capsys.readouterr().err
