"""What people get wrong and what goes wrong around a command: one clear line, and nothing is lost.

What single readers and settings refuse has its test beside them.
"""

import io
import resource
import sys
from contextlib import contextmanager

import pytest

from seq2seq_fast import cli
from seq2seq_fast.data import build_vocabulary
from seq2seq_fast.decoding import Translator, save_model_folder
from seq2seq_fast.training import callbacks
from tests.decoding.models import small_model
from tests.training.corpora import MODEL, write_corpus

LINES = ["ein Hund", "der kleine Hund sieht die Katze"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"), train=20, validation=3)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    vocabulary = build_vocabulary(LINES, "words", 40)
    network = small_model(len(vocabulary), source_vocabulary=len(vocabulary), sharpness=3.0, end=1.0)
    return save_model_folder(tmp_path_factory.mktemp("model"), network, vocabulary, vocabulary)


def training(corpus, output, **changes):
    """Return the command line of a tiny training."""
    flags = {
        "data.folder": corpus, "data.train_source": "train.de", "data.train_target": "train.en",
        "data.validation_source": "validation.de", "data.validation_target": "validation.en",
        "data.batch_tokens": 100, "vocabulary.kind": "words", "vocabulary.size": 200, "training.output": output,
        "training.progress": False, "training.logger": "csv", "training.device": "cpu", "training.max_epochs": 3,
    }  # fmt: skip
    flags |= {f"model.{name}": value for name, value in MODEL.items()} | changes
    return ["train", *(f"--{name}={value}" for name, value in flags.items())]


def train(corpus, output, **changes):
    return cli.main(training(corpus, output, **changes))


def error(capsys):
    """Return the error, the last line of standard error."""
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("seq2seq-fast: error: ") and sum("error" in line for line in said) == 1
    return said[-1]


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def full_disk(size):
    """No file can grow beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_checkpoint_cut_in_half_or_of_another_model_is_named_and_nothing_changes(corpus, tmp_path, capsys):
    output = tmp_path / "model"
    assert train(corpus, output, **{"training.max_epochs": 1}) == 0
    before = content(output)
    assert train(corpus, output, **{"training.resume": True, "model.decoder_hidden_size": 20}) == 2
    assert "settings.yaml: this training began with model.decoder_hidden_size 24, not 20: resume with that" in error(
        capsys
    )
    assert content(output) == before
    last = output / "training/checkpoints/last.ckpt"
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    before = content(output)
    assert train(corpus, output, **{"training.resume": True}) == 2
    said = error(capsys)
    assert f"{last}: not a complete checkpoint" in said and "or begin anew with --training.overwrite=true" in said
    assert content(output) == before


def test_a_full_disk_in_training_is_named_and_what_was_complete_stays(corpus, tmp_path, capsys, monkeypatch):
    """The first checkpoints are written, then the disk is full."""
    written, save = [], callbacks.LastCheckpoint.on_validation_end

    def save_once(*arguments):
        with full_disk(1000 if written else 10**9):
            written.append(save(*arguments))

    monkeypatch.setattr(callbacks.LastCheckpoint, "on_validation_end", save_once)
    assert train(corpus, tmp_path / "model") == 2
    checkpoints = tmp_path / "model/training/checkpoints"
    assert f"{checkpoints / 'last.ckpt'}: cannot be written (File too large): make room" in error(capsys)
    assert not [path for path in checkpoints.iterdir() if "partial" in path.name]
    monkeypatch.undo()
    assert train(corpus, tmp_path / "model", **{"training.resume": True}) == 0


def test_a_model_that_does_not_fit_on_the_disk_leaves_the_old_one(model, capsys):
    before = content(model)
    with full_disk(1000):
        assert cli.main(["average", str(model), str(model), "--output", str(model), "--overwrite", "true"]) == 2
    assert f"{model}: cannot be written (" in error(capsys)
    assert content(model) == before


@pytest.mark.parametrize(
    "name", ["config.json", "vocabulary.json", "vocabulary.model", "source_vocabulary.json", "curves.png"]
)
def test_a_training_takes_no_file_of_its_users_away(corpus, tmp_path, capsys, name):
    """One of these may be the very vocabulary that the training is to use."""
    file = tmp_path / "own" / name
    file.parent.mkdir()
    build_vocabulary(LINES, "words", 40).save(tmp_path / "own/vocabulary")
    (tmp_path / "own/vocabulary.json").rename(file)
    before = content(tmp_path)
    given = {f"vocabulary.{side}": file for side in ("source", "target")} | {"vocabulary.joint": False}
    assert train(corpus, tmp_path / "own", **given) == 2
    wanted = f"own holds a {name} but no model, and would lose it: choose another output, or give --training.overwrite"
    assert wanted in error(capsys) and content(tmp_path) == before


@pytest.mark.parametrize("name", ["config.json", "vocabulary.model"])
def test_an_average_takes_no_file_of_its_users_away(model, tmp_path, capsys, name):
    (tmp_path / name).write_text("mine")
    given = ["average", str(model), str(model), "--output", str(tmp_path)]
    assert cli.main(given) == 2
    assert f"{tmp_path} holds a {name} but no model, and would lose it" in error(capsys)
    assert content(tmp_path) == {(tmp_path / name).relative_to(tmp_path): b"mine"}
    assert cli.main([*given, "--overwrite", "true"]) == 0 and Translator.load(tmp_path)


@pytest.mark.parametrize("flag", ["--output", "--by_length"])
def test_an_output_that_does_not_fit_leaves_the_old_one(model, tmp_path, capsys, flag):
    text, output = tmp_path / "text", tmp_path / "out.svg"
    text.write_text("ein Hund\n" * 40)
    output.write_text("old")
    with full_disk(30):
        assert cli.main(["evaluate", str(model), "--src", str(text), "--ref", str(text), flag, str(output)]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("BLEU ") and f"{output}: cannot be written (File too large): make room" in err
    assert output.read_text() == "old" and sorted(tmp_path.iterdir()) == [output, text]


def test_standard_output_on_a_full_disk_is_named(model, tmp_path, capsys, monkeypatch):
    (tmp_path / "text").write_text("ein Hund\n")
    with open("/dev/full", "wb", buffering=0) as full, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", io.TextIOWrapper(full, write_through=True))
        assert cli.main(["translate", str(model), str(tmp_path / "text")]) == 2
    assert "standard output: cannot be written (No space left on device)" in error(capsys)


def test_a_huge_line_is_named_and_the_lines_before_it_are_translated(model, tmp_path, capsys, monkeypatch):
    text = "ein Hund\n" * 3 + "Hund " * 6000 + "\nein Hund\n"
    (tmp_path / "text").write_text(text)
    assert cli.main(["translate", str(model), str(tmp_path / "text"), "--lines", "2"]) == 2
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 3
    wanted = "line 4 has 6,000 pieces, more than search.max_source_length, 5,000: split it, or raise that"
    assert err == f"seq2seq-fast: error: {tmp_path / 'text'}: {wanted}\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert cli.main(["translate", str(model)]) == 2
    assert f"standard input: {wanted}" in error(capsys)


def test_a_huge_line_is_cut_split_or_skipped_where_asked(model, tmp_path, capsys):
    (tmp_path / "text").write_text("ein Hund\n" * 3 + "Hund " * 30 + "\nein Hund\n" + "x" * 2**20 + "y\n")
    given = ["translate", str(model), str(tmp_path / "text"), "--search.max_source_length", "20"]
    for long in ("cut", "split", "skip"):
        assert cli.main([*given, "--long", long]) == 0
        out, err = capsys.readouterr()
        lines = out.splitlines()
        assert len(lines) == 6 and lines[0] == lines[1] == lines[2] == lines[4]
        assert (long != "skip" or lines[3] == "") and "text: line 4 is too long, with 30 pieces: it" in err
        assert "text: line 6 has more than 1,048,576 bytes" in err and len(err.splitlines()) == 2


def test_what_stands_before_a_line_that_cannot_be_read_is_translated(model, tmp_path, capsys):
    for bad in (b"\xff\n", b"x" * 2**20 + b"y\n"):
        (tmp_path / "text").write_bytes(b"ein Hund\n" * 3 + bad + b"ein Hund\n")
        assert cli.main(["translate", str(model), str(tmp_path / "text")]) == 2
        out, err = capsys.readouterr()
        assert len(out.splitlines()) == 3 and "line 4 " in err and len(err.splitlines()) == 1


def test_a_huge_line_of_a_corpus_is_left_out_and_one_to_validate_is_named(corpus, tmp_path, capsys):
    names = ("train.de", "train.en", "validation.de", "validation.en")
    for name in names:
        (tmp_path / name).write_text((corpus / name).read_text(encoding="utf-8") + "so " * 6000 + "\n")
    assert train(tmp_path, tmp_path / "model") == 2
    assert "validation.en: validation pair 4 has 6,002 pieces; 5,000 can be validated at most" in error(capsys)
    flags = {"data.validation_source": corpus / names[2], "data.validation_target": corpus / names[3]}
    assert train(tmp_path, tmp_path / "model", **flags, **{"training.max_epochs": 1, "training.progress": True}) == 0
    assert "21 training pairs (1 left out" in capsys.readouterr().out


def test_an_interrupted_training_says_how_to_go_on_and_keeps_its_checkpoint(corpus, tmp_path, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(callbacks.TokensPerSecond, "on_train_batch_end", interrupt)
    assert train(corpus, tmp_path / "early") == 130
    assert error(capsys) == "seq2seq-fast: error: interrupted"
    monkeypatch.undo()
    assert train(corpus, tmp_path / "model", **{"training.max_epochs": 1}) == 0
    before = content(tmp_path / "model")
    monkeypatch.setattr(callbacks.TokensPerSecond, "on_train_batch_end", interrupt)
    assert train(corpus, tmp_path / "model", **{"training.resume": True}) == 130
    last = tmp_path / "model/training/checkpoints/last.ckpt"
    assert error(capsys) == f"seq2seq-fast: error: interrupted; --training.resume=true goes on from {last}"
    after = content(tmp_path / "model")
    assert all(after[name] == before[name] for name in before if name.suffix != ".yaml")


def test_an_interrupted_translation_keeps_the_lines_that_are_done(model, tmp_path, capsys, monkeypatch):
    from seq2seq_fast.decoding import Translator

    blocks, search = [], Translator.search

    def interrupted(self, *arguments, **options):
        if blocks:
            raise KeyboardInterrupt
        blocks.append(1)
        return search(self, *arguments, **options)

    monkeypatch.setattr(Translator, "search", interrupted)
    (tmp_path / "text").write_text("ein Hund\n" * 5)
    assert cli.main(["translate", str(model), str(tmp_path / "text"), "--lines", "3"]) == 130
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 3 and err == "seq2seq-fast: error: interrupted\n"
