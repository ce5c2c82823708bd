"""Where commands write: through links, into devices and pipes, for whom the umask allows."""

import os
import stat

import pytest

from seq2seq_fast import cli
from seq2seq_fast.data import build_vocabulary
from seq2seq_fast.decoding import save_model_folder
from seq2seq_fast.nn import Seq2Seq
from tests.commands.test_bad_input import train
from tests.decoding.models import small_model
from tests.training.corpora import write_corpus

LINES = ["ein Hund", "der kleine Hund sieht die Katze"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    vocabulary = build_vocabulary(LINES, "words", 40)
    network = small_model(len(vocabulary), source_vocabulary=len(vocabulary), sharpness=3.0, end=1.0)
    return save_model_folder(tmp_path_factory.mktemp("model"), network, vocabulary, vocabulary)


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text").write_text("ein Hund\n" * 3)
    return tmp_path / "text"


WRITING = [
    ("evaluate", "--output", ""), ("evaluate", "--by_length", ".svg"), ("evaluate", "--by_length", ".pdf"),
    ("align", "--output", ""), ("score", "--output", ""), ("align", "--picture", ".png"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "flag", "ending"), WRITING)
def test_links_are_followed_and_a_device_stays_one(model, text, tmp_path, command, flag, ending):
    link, null = tmp_path / f"link{ending}", tmp_path / f"null{ending}"
    link.symlink_to(f"target{ending}")
    null.symlink_to(os.devnull)
    for path in (link, null):
        assert cli.main([command, str(model), "--src", str(text), "--ref", str(text), flag, str(path)]) == 0
        assert path.is_symlink()
    assert (tmp_path / f"target{ending}").stat().st_size > 0
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_one_device_may_take_two_outputs_and_one_file_may_not(model, text, tmp_path, capsys):
    given = ["align", str(model), "--src", str(text)]
    assert cli.main([*given, "--output", os.devnull, "--translations", os.devnull]) == 0
    (tmp_path / "link").symlink_to("links")
    assert cli.main([*given, "--output", str(tmp_path / "links"), "--translations", str(tmp_path / "link")]) == 2
    assert "is one of the files to write already" in capsys.readouterr().err


def test_a_link_to_nowhere_is_named_before_any_work(model, text, tmp_path, capsys):
    (tmp_path / "link").symlink_to("nowhere/out")
    given = ["--src", str(text), "--ref", str(text), "--output", str(tmp_path / "link")]
    assert cli.main(["evaluate", str(model), *given]) == 2
    out, err = capsys.readouterr()
    assert out == "" and f"--output {tmp_path / 'link'}: {tmp_path / 'nowhere'} is no folder" in err


def test_a_file_that_may_not_be_written_is_named(model, text, tmp_path, capsys, monkeypatch):
    (tmp_path / "out").write_text("old")
    access = os.access
    # As for anyone but root, who runs some of these tests.
    monkeypatch.setattr(os, "access", lambda path, how: not str(path).endswith("/out") and access(path, how))
    given = ["--src", str(text), "--ref", str(text), "--output", str(tmp_path / "out")]
    assert cli.main(["evaluate", str(model), *given]) == 2
    assert "is read-only: choose another name" in capsys.readouterr().err and (tmp_path / "out").read_text() == "old"


@pytest.mark.parametrize("umask", [0o022, 0o027])
def test_all_that_a_training_writes_is_for_whom_the_umask_allows(tmp_path, umask):
    corpus = write_corpus(tmp_path / "corpus", train=20, validation=3)
    before = os.umask(umask)
    try:
        flags = {"training.max_epochs": 1, "training.logger": "both", "data.cache": tmp_path / "out/cache"}
        assert train(corpus, tmp_path / "out/model", **flags) == 0
        Seq2Seq.from_pretrained(tmp_path / "out/model").save_pretrained(tmp_path / "out/pretrained")
        given = ["average", str(tmp_path / "out/model/training/checkpoints/last.ckpt")]
        assert cli.main([*given, "--output", str(tmp_path / "out/average")]) == 0
    finally:
        os.umask(before)
    written = list((tmp_path / "out").rglob("*"))
    assert len([path for path in written if path.name == "model.safetensors"]) == 3
    for path in written:
        assert stat.S_IMODE(path.stat().st_mode) == (0o777 if path.is_dir() else 0o666) & ~umask, path
