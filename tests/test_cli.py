"""The command line."""

import io
import json
import os
import select
import subprocess
import sys
from threading import Thread

import pytest
import torch
import yaml

from seq2seq_fast import cli
from seq2seq_fast.data import build_vocabulary
from seq2seq_fast.decoding import Translator, save_model_folder
from tests.decoding.models import small_model
from tests.test_progress import Terminal
from tests.training.corpora import write_corpus

LINES = ["ein Hund", "der kleine Hund sieht die Katze", "", "zwei Hunde und drei Katzen"]


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    vocabulary = build_vocabulary(LINES, "words", 40)
    network = small_model(len(vocabulary), source_vocabulary=len(vocabulary), sharpness=3.0, end=1.0)
    return save_model_folder(tmp_path_factory.mktemp("model"), network, vocabulary, vocabulary)


@pytest.fixture(scope="module")
def not_a_number(tmp_path_factory):
    vocabulary = build_vocabulary(LINES, "words", 40)
    network = small_model(len(vocabulary), source_vocabulary=len(vocabulary))
    torch.nn.init.constant_(network.decoder.output.bias, float("nan"))
    return save_model_folder(tmp_path_factory.mktemp("nan"), network, vocabulary, vocabulary)


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.de"
    path.write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    return path


def test_train_reads_yaml_and_flags_and_the_model_translates_and_evaluates(tmp_path, capsys, monkeypatch):
    corpus = write_corpus(tmp_path / "corpus", train=30, validation=5)
    config = {
        "data": {
            "folder": str(corpus), "train_source": "train.de", "train_target": "train.en",
            "validation_source": "validation.de", "validation_target": "validation.en", "batch_tokens": 200,
        },
        "vocabulary": {"kind": "words", "size": 50},
        "model": {"source_size": 8, "target_size": 8, "encoder_hidden_size": 8, "decoder_hidden_size": 8},
        "training": {"max_steps": 50, "progress": False, "logger": "csv", "output": str(tmp_path / "model")},
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert run("train", "--config", tmp_path / "config.yaml", "--training.max_steps", 2, "--vocabulary.size", 70) == 0
    out, err = capsys.readouterr()
    assert "after 2 steps" in out and "step 2" in err
    files = ("--src", corpus / "validation.de", "--ref", corpus / "validation.en", "--output", tmp_path / "out.en")
    assert run("evaluate", tmp_path / "model", *files, "--search.beam_size", 2) == 0
    out, err = capsys.readouterr()
    assert out.startswith("BLEU ") and "nrefs:1" in out and "chrF2 " in out and "5 sentences, beam 2" in err
    assert len((tmp_path / "out.en").read_text(encoding="utf-8").splitlines()) == 5
    picture = ("--by_length", tmp_path / "lengths.png", "--compare", tmp_path / "model", "--length_width", 50)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", Terminal())
        assert run("evaluate", tmp_path / "model", *files, *picture) == 0
        assert f"translate with {tmp_path / 'model'}:" in sys.stderr.getvalue()
    assert "1-50          5" in capsys.readouterr().out and (tmp_path / "lengths.png").is_file()
    assert (tmp_path / "model/curves.png").is_file()
    # The settings that were written are a configuration again.
    again = ("--training.output", tmp_path / "again", "--training.max_steps", 1)
    assert run("train", "--config", tmp_path / "model/training/settings.yaml", *again) == 0


def test_translate_reads_a_file_or_standard_input_and_gives_a_line_for_a_line(model, text, capsys, monkeypatch):
    assert run("translate", model, text) == 0
    from_file = capsys.readouterr().out
    assert from_file.splitlines() == Translator.load(model).translate(LINES)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.read_bytes())))
    assert run("translate", model, "--lines", 1) == 0
    assert capsys.readouterr().out == from_file


def test_a_line_is_answered_before_the_next_is_written(model, monkeypatch):
    (asked, ask), (answered, answer) = os.pipe(), os.pipe()
    monkeypatch.setattr(sys, "stdin", os.fdopen(asked, encoding="utf-8"))
    monkeypatch.setattr(sys, "stdout", os.fdopen(answer, "w", encoding="utf-8"))
    translating = Thread(target=run, args=("translate", model, "--lines", 1), daemon=True)
    translating.start()
    answers = []
    with open(answered, encoding="utf-8") as found, open(ask, "w", encoding="utf-8") as lines:
        for line in LINES[:2]:
            print(line, file=lines, flush=True)
            assert select.select([found], [], [], 60)[0], "no answer while the input is still open"
            answers.append(found.readline().rstrip("\n"))
        lines.close()
        translating.join(60)
    assert answers == Translator.load(model).translate(LINES[:2])


def test_translations_are_utf_8_whatever_the_locale(text, tmp_path, capsys, monkeypatch):
    vocabulary = build_vocabulary(["한국어 문장"], "words", 40)
    network = small_model(len(vocabulary), source_vocabulary=len(vocabulary), sharpness=3.0, end=-1.0)
    folder = save_model_folder(tmp_path / "model", network, vocabulary, vocabulary)
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1"))
    assert run("translate", folder, text, "--prefix", "한국어") == 0
    assert written.getvalue().decode("utf-8").startswith("한국어")


def test_an_error_begins_where_the_progress_bar_has_gone(model, text, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    text.write_text("ein Hund\n" * 3 + "Hund " * 6000 + "\n")
    assert run("translate", model, text, "--lines", 2) == 2
    bar, _, error = sys.stderr.getvalue().rpartition("\r")
    assert "translate" in bar and error.startswith("seq2seq-fast: error: ")


def test_n_best_translations_are_numbered_and_scored(model, text, capsys):
    assert run("translate", model, text, "--n_best", 2, "--search.beam_size", 3) == 0
    rows = [line.split(" ||| ") for line in capsys.readouterr().out.splitlines()]
    assert {row[0] for row in rows} == {"1", "2", "3", "4"} and all(float(row[2]) <= 0 for row in rows)


def test_translations_as_json_lines_hold_text_scores_and_pieces(model, text, tmp_path, capsys):
    (tmp_path / "prefixes").write_text("der Hund\n\n\nein\n")
    options = ("--format", "jsonl", "--n_best", 2, "--search.beam_size", 3, "--ensemble", model)
    assert run("translate", model, text, "--prefixes", tmp_path / "prefixes", *options) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(record["line"], record["source"]) for record in records] == list(enumerate(LINES, start=1))
    assert records[0]["translations"][0]["text"].startswith("der Hund")
    for record in records:
        scores = [one["score"] for one in record["translations"]]
        assert scores == sorted(scores, reverse=True)
        for one in record["translations"]:
            written = [piece for piece in one["pieces"] if piece not in ("<pad>", "<s>")]
            assert one["log_probability"] <= 0 and "".join(written).replace("▁", " ").strip() == one["text"]
    assert run("translate", model, text, "--prefix", "die Katze") == 0
    found = capsys.readouterr().out.splitlines()
    assert all(line.startswith("die Katze") for line in found if line) and found[2] == ""


def test_prefixes_of_other_lines_are_named_behind_the_lines_that_have_theirs(model, text, tmp_path, capsys):
    (tmp_path / "short").write_text("ein\n")
    assert run("translate", model, text, "--prefixes", tmp_path / "short") == 2
    out, err = capsys.readouterr()
    assert out.startswith("ein") and len(out.splitlines()) == 1
    assert "short: its lines are not as many as those to translate" in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "subcommand"),
        (["fly"], "invalid choice: 'fly'"),
        (["train", "--nothing", "1"], "--nothing 1 (what there is: seq2seq-fast COMMAND --help)"),
        (["train", "--training.max_steps", "many"], "training.max_steps"),
        (["train", "--config", "none.yaml"], "none.yaml"),
        (["train"], "data.train_source is missing"),
        (["train", "--data.train_source", "none.de", "--data.train_target", "none.en"], "none.de: no such file"),
        (["translate"], "translate.model"),
        (["translate", "nowhere"], "nowhere: no such model folder"),
        (["translate", "."], "not a model folder"),
        (["translate", "MODEL", "none.txt"], "none.txt: no such file"),
        (["translate", "MODEL", "TEXT", "--n_best", "9"], "n_best must lie between 1 and search.beam_size, 5"),
        (["translate", "MODEL", "TEXT", "--device", "nothing"], "device nothing"),
        (["evaluate", "MODEL", "--src", "TEXT", "--ref", "SHORT"], "has 4 lines but"),
        (["evaluate", "MODEL", "--src", "TEXT", "--ref", "TEXT", "--output", "/nowhere/x"], "/nowhere/x"),
        (["train", "--data.batch_tokens", "0"], "data.batch_tokens must be at least 1; got 0"),
        (["train", "--optimization.learning_rate", "-1"], "optimization.learning_rate must be larger than 0; got -1"),
        (["train", "--optimization.label_smoothing", "1.5"], "label_smoothing must be at least 0 and less than 1"),
        (["train", "--training.max_minutes", "-1"], "training.max_minutes must be larger than 0; got -1"),
        (["translate", "MODEL", "TEXT", "--search.beam_size", "0"], "search.beam_size must be at least 1; got 0"),
        (
            ["translate", "MODEL", "TEXT", "--search.max_length", "2", "--search.min_length", "3"],
            "max_length must be at",
        ),
        (["translate", "MODEL", "TEXT", "--prefix", "a", "--prefixes", "SHORT"], "exclude each other"),
        (["translate", "MODEL", "TEXT", "--ensemble", "nowhere"], "nowhere: no such model folder"),
        (["train", "--training.seed", "5000000000"], "training.seed must be at most 4294967295; got 5000000000"),
        (["train", "--training.max_minutes", ".inf"], "training.max_minutes must be a finite number; got inf"),
        (["train", "--training.max_minutes", "1e300"], "training.max_minutes must be at most 1000000000; got 1e+300"),
        (["train", "--training.validate_every", ".inf"], "training.validate_every must be a finite number; got inf"),
        (["train", "--config", "BAD"], "bad: line 1 is not UTF-8 (byte 1 of the line)"),
        (["train", "--data.train_source", "none.de", "--model.cell", "mlp"], "model: cell must be one of"),
        (["translate", "NAN", "TEXT"], "the model has weights that are no numbers"),
        (["translate", "MODEL", "TEXT", "--device", "meta"], "device meta: there are cpu, cuda, and cuda:N"),
        (["demo", "--minutes", ".inf"], "demo.minutes must be a finite number; got inf"),
        (["demo", "--minutes", "0"], "demo.minutes must be larger than 0; got 0"),
        (["evaluate", "MODEL"], "evaluate.src"),
        (["evaluate", "MODEL", "--src", "TEXT", "--ref", "TEXT", "--compare", "MODEL"], "give that too"),
        (["evaluate", "MODEL", "--src", "TEXT", "--ref", "TEXT", "--by_length", "a.gif"], "a picture's name ends in"),
        (["translate", "MODEL", "BAD"], "line 1 is not UTF-8"),
    ],
)
def test_a_user_error_is_one_line_and_exit_code_2(model, not_a_number, text, tmp_path, capsys, arguments, message):
    (tmp_path / "short").write_text("one\n")
    (tmp_path / "bad").write_bytes(b"\xff\n")
    names = {"MODEL": model, "NAN": not_a_number, "TEXT": text, "SHORT": tmp_path / "short", "BAD": tmp_path / "bad"}
    assert run(*[names.get(argument, argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert err.startswith("seq2seq-fast: error: ") and message in err


def test_a_missing_extra_is_said_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == "lightning" else object())
    assert run("train") == 2
    assert capsys.readouterr().err == (
        "seq2seq-fast: error: lightning not installed; the command needs: pip install 'seq2seq_fast[train]'\n"
    )


def test_help_says_what_every_flag_is(capsys):
    for command, flags in (
        ("train", 50),
        ("translate", 8),
        ("evaluate", 9),
        ("align", 10),
        ("average", 4),
        ("demo", 2),
    ):
        with pytest.raises(SystemExit) as ended:
            run(command, "--help")
        assert ended.value.code == 0
        text = capsys.readouterr().out
        entries = text.split("\n  -")[1:]
        assert len(entries) >= flags
        for entry in entries:
            said = [word for word in entry.split("(type:")[0].split()[1:] if not word.isupper()]
            assert len(said) >= 2, entry


def test_the_doors_below_import_nothing_heavy():
    code = (
        "import sys, seq2seq_fast, seq2seq_fast.nn, seq2seq_fast.training, seq2seq_fast.cli;"
        "heavy = {'lightning', 'jsonargparse', 'sentencepiece', 'sacrebleu', 'matplotlib'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_reader_that_goes_away_is_no_error(model, tmp_path):
    (tmp_path / "long").write_text("ein Hund\n" * 3000, encoding="utf-8")
    command = f"{sys.executable} -m seq2seq_fast.cli translate {model} {tmp_path}/long --lines 20 | head -n 1"
    found = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert len(found.stdout.splitlines()) == 1 and found.stderr == ""


@pytest.mark.parametrize("name", ["ref.en", "missing/out.en", "."])
def test_an_output_that_would_lose_something_is_refused_before_any_work(model, text, tmp_path, capsys, name):
    reference = tmp_path / "ref.en"
    reference.write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    before = reference.read_text(encoding="utf-8")
    assert run("evaluate", model, "--src", text, "--ref", reference, "--output", tmp_path / name) == 2
    assert "--output" in capsys.readouterr().err and reference.read_text(encoding="utf-8") == before


@pytest.mark.parametrize(("name", "message"), [("cdua", "is no backend; there are"), ("broken", "cannot run here: so")])
def test_a_backend_of_the_environment_that_cannot_run_is_one_line(monkeypatch, capsys, name, message):
    backends = sys.modules["seq2seq_fast.ops.backends"]  # `seq2seq_fast.ops.backends` is the function
    broken = backends.BackendStatus(False, False, ("cpu",), (), "so it is")
    monkeypatch.setattr(backends, "_BACKENDS", backends.backends() | {"broken": broken})
    monkeypatch.setenv("SEQ2SEQ_FAST_BACKEND", name)
    assert cli.main(["translate", "model"]) == 2
    assert f"seq2seq-fast: error: SEQ2SEQ_FAST_BACKEND={name} {message}" in capsys.readouterr().err
