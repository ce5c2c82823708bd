"""``seq2seq-fast score``."""

import io
import json
import math
import sys

import pytest

from seq2seq_fast import cli
from seq2seq_fast.data import build_vocabulary
from seq2seq_fast.decoding import save_model_folder
from tests.decoding.models import small_model

LINES = ["ein Hund", "der kleine Hund sieht die Katze", "", "zwei Hunde und drei Katzen"]


def run(command, *arguments):
    return cli.main([command, *map(str, arguments)])


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    vocabulary = build_vocabulary(LINES, "words", 40)
    # As probable an unknown piece as any other would not be what it was when read again.
    folders = []
    for seed in (0, 1):
        network = small_model(len(vocabulary), source_vocabulary=len(vocabulary), sharpness=3.0, end=1.0, seed=seed)
        network.decoder.output.bias.data[vocabulary.unknown_id] = -50.0
        folders.append(save_model_folder(tmp_path_factory.mktemp("model"), network, vocabulary, vocabulary))
    return folders


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text").write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    return tmp_path / "text"


def test_each_pair_has_a_line_and_all_of_them_one(models, text, tmp_path, capsys):
    assert run("score", models[0], "--src", text, "--ref", text) == 0
    *each, total = lines_of(capsys.readouterr().out)
    assert [one["text"] for one in each] == LINES and [one["line"] for one in each] == [1, 2, 3, 4]
    assert each[2]["log_probability"] == 0 and each[2]["log_probabilities"] == []
    for one in each:
        assert len(one["log_probabilities"]) == len(one["pieces"]) + (one["text"] != "")
        assert one["log_probability"] == pytest.approx(sum(one["log_probabilities"]), abs=1e-5)
        count = max(1, len(one["log_probabilities"]))
        assert one["perplexity"] == pytest.approx(math.exp(-one["log_probability"] / count), rel=1e-5)
    assert total["sentences"] == 4 and total["pieces"] == 3 + 7 + 6
    assert total["log_probability"] == pytest.approx(sum(one["log_probability"] for one in each), abs=1e-5)
    assert total["perplexity"] == pytest.approx(math.exp(-total["log_probability"] / 16), rel=1e-5)
    assert run("score", models[0], "--src", text, "--ref", text, "--output", tmp_path / "out") == 0
    assert lines_of((tmp_path / "out").read_text(encoding="utf-8")) == [*each, total]


@pytest.mark.parametrize("members", [1, 2])
def test_the_searchs_own_translations_get_the_probabilities_that_it_gave_them(models, text, tmp_path, capsys, members):
    given = ["--ensemble", models[1]] if members == 2 else []
    search = ["--format", "jsonl", "--n_best", 3, "--search.beam_size", 4, "--search.length_penalty", 0.5]
    assert run("translate", models[0], text, *given, *search) == 0
    before = capsys.readouterr().out
    (tmp_path / "n_best").write_text(before, encoding="utf-8")
    score = ["score", models[0], *given, "--n_best", tmp_path / "n_best", "--search.length_penalty", 0.5]
    assert run(*score) == 0
    after = lines_of(capsys.readouterr().out)
    assert [record["line"] for record in after] == [1, 2, 3, 4]
    for old, new in zip(lines_of(before), after, strict=True):
        assert [one["text"] for one in new["translations"]] == [one["text"] for one in old["translations"]]
        for one, was in zip(new["translations"], old["translations"], strict=True):
            assert one["before"] == {"score": was["score"], "log_probability": was["log_probability"]}
            assert one["log_probability"] == pytest.approx(was["log_probability"], abs=1e-4)
            assert one["score"] == pytest.approx(was["score"], abs=1e-4)


def test_another_model_sorts_an_n_best_list_anew(models, text, capsys, monkeypatch):
    assert run("translate", models[0], text, "--format", "jsonl", "--n_best", 4, "--search.beam_size", 4) == 0
    before = capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(before.encode())))
    assert run("score", models[1], "--n_best", "-") == 0
    after = lines_of(capsys.readouterr().out)
    texts = [[one["text"] for one in record["translations"]] for record in after]
    old = [[one["text"] for one in record["translations"]] for record in lines_of(before)]
    assert texts != old and list(map(sorted, texts)) == list(map(sorted, old))
    for record in after:
        scores = [one["score"] for one in record["translations"]]
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("side", ["--src", "--ref"])
@pytest.mark.parametrize("how", ["refuse", "cut", "skip"])
def test_long_sentences_are_treated_as_asked(models, text, tmp_path, capsys, side, how):
    most = ("--search.max_source_length", 5)
    other = tmp_path / "other"
    other.write_text(text.read_text(encoding="utf-8").replace(LINES[1], "ein Hund"), encoding="utf-8")
    files = {"--src": other, "--ref": other} | {side: text}
    given = [part for flag in files.items() for part in flag]
    code = run("score", models[0], *given, *most, "--long", how)
    out, err = capsys.readouterr()
    found = lines_of(out)
    if how == "refuse":
        assert code == 2 and [one["line"] for one in found] == [1]
        said = "line 2 has 6 pieces, more than search.max_source_length, 5: split it, or raise that"
        assert err == f"seq2seq-fast: error: {text}: {said}\n"
        return
    assert code == 0 and f"{text}: line 2 is too long, with 6 pieces" in err
    if how == "skip":
        assert found[1]["log_probability"] is None and found[-1]["sentences"] == 3
        return
    cut = tmp_path / "cut"
    cut.write_text(text.read_text(encoding="utf-8").replace(" Katze\n", "\n"), encoding="utf-8")
    given = [part for flag in (files | {side: cut}).items() for part in flag]
    assert run("score", models[0], *given) == 0
    assert found[-1] == lines_of(capsys.readouterr().out)[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--src", "TEXT"], "give --src FILE and --ref FILE, or --n_best FILE"),
        (["--src", "TEXT", "--n_best", "TEXT"], "give it, or --src and --ref"),
        (["--n_best", "TEXT"], "line 1 is no record with source and translations: write them with translate --format"),
        (["--src", "TEXT", "--ref", "TEXT", "--output", "TEXT"], "is one of the files to read"),
        (["--src", "TEXT", "--ref", "SHORT"], "has 4 lines but"),
        (["--src", "TEXT", "--ref", "nothing"], "nothing: no such file"),
    ],
)
def test_what_cannot_be_scored_is_one_line(models, text, tmp_path, capsys, arguments, message):
    (tmp_path / "short").write_text("ein Hund\n")
    names = {"TEXT": text, "SHORT": tmp_path / "short"}
    assert run("score", models[0], *(names.get(one, one) for one in arguments)) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "line", ["[]", "{}", '{"source": 1, "translations": []}', '{"source": "a", "translations": 3}', "3"]
)
def test_a_line_that_is_no_record_is_named_and_those_before_are_written(models, tmp_path, capsys, line):
    good = json.dumps({"source": "ein Hund", "translations": [{"text": "die Katze"}]})
    (tmp_path / "n_best").write_text(f"{good}\n{line}\n")
    assert run("score", models[0], "--n_best", tmp_path / "n_best") == 2
    out, err = capsys.readouterr()
    assert len(lines_of(out)) == 1 and "line 2 is no record" in err
