"""Commands whose standard streams are absent, full, or have nobody at their other end."""

import shlex
import subprocess
import sys

import pytest

from seq2seq_fast import cli, streams
from seq2seq_fast.decoding import Translator
from tests.commands import test_bad_input
from tests.commands.test_bad_input import training

COMMAND = [sys.executable, "-m", "seq2seq_fast"]


corpus, model = test_bad_input.corpus, test_bad_input.model


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text").write_text("ein Hund\n" * 3)
    return tmp_path / "text"


def commands(model, text, tmp_path):
    pair = ["--src", str(text), "--ref", str(text)]
    return {
        "translate": ["translate", str(model), str(text)],
        "evaluate": ["evaluate", str(model), *pair],
        "evaluate to a file": ["evaluate", str(model), *pair, "--output", str(tmp_path / "out")],
        "score": ["score", str(model), *pair],
        "align": ["align", str(model), *pair],
        "align to a file": ["align", str(model), *pair, "--output", str(tmp_path / "out")],
        "average": ["average", str(model), str(model), "--output", str(tmp_path / "out")],
        "doctor": ["doctor", "--no-timings", "--help"],
        "nothing": ["translate", "no-model", str(text)],
    }


def run(arguments):
    try:
        return cli.main(arguments)
    except SystemExit as ended:  # of --help
        return ended.code


CASES = [
    "translate", "evaluate", "evaluate to a file", "score", "align", "align to a file", "average", "doctor", "nothing",
]  # fmt: skip
NEED_OUTPUT = {"translate", "evaluate", "score", "align"}


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
@pytest.mark.parametrize("case", CASES)
def test_a_stream_may_be_absent(model, text, tmp_path, capfd, monkeypatch, case, stream):
    monkeypatch.setattr(sys, stream, None)
    code = run(commands(model, text, tmp_path)[case])
    refused = case == "nothing" or (stream == "stdout" and case in NEED_OUTPUT)
    assert code == (2 if refused else 0)
    err = capfd.readouterr().err
    if stream == "stdout" and case in NEED_OUTPUT:
        assert err == "seq2seq-fast: error: standard output is closed: there is nowhere to write to\n"
    if "file" in case:
        assert len((tmp_path / "out").read_text().splitlines()) == 3


def test_an_absent_input_is_named(model, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert cli.main(["translate", str(model)]) == 2
    assert capsys.readouterr().err == "seq2seq-fast: error: standard input is closed: name a file to translate\n"


@pytest.mark.parametrize("case", CASES)
def test_a_full_output_is_one_line_and_files_are_written(model, text, tmp_path, capfd, monkeypatch, case):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        code = run(commands(model, text, tmp_path)[case])
    err = [line for line in capfd.readouterr().err.splitlines() if "sentences a second" not in line]
    assert "Traceback" not in "".join(err)
    if case in ("align to a file", "doctor"):
        assert code == 0 and err == []
    elif case != "nothing":
        wanted = "standard output: cannot be written (No space left on device): make room or choose another place"
        assert code == 2 and err == [f"seq2seq-fast: error: {wanted}"]
    if "file" in case:
        assert len((tmp_path / "out").read_text().splitlines()) == 3
    if case == "average":
        Translator.load(tmp_path / "out")


@pytest.mark.parametrize("case", CASES)
def test_a_full_error_stream_changes_nothing(model, text, tmp_path, capfd, monkeypatch, case):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert run(commands(model, text, tmp_path)[case]) == (2 if case == "nothing" else 0)


@pytest.mark.parametrize("redirections", ["<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
def test_a_training_that_nobody_hears_makes_its_model(corpus, tmp_path, redirections):
    command = [*COMMAND, *training(corpus, tmp_path / "m", **{"training.progress": True, "training.max_epochs": 1})]
    done = subprocess.run(f"exec {shlex.join(command)} {redirections}", shell=True, timeout=300)
    assert done.returncode == 0
    Translator.load(tmp_path / "m")


def test_no_file_gets_the_number_of_an_absent_stream():
    """Else what a library writes to standard error would go into a model."""
    script = (
        "import os; from seq2seq_fast.streams import provide_streams; provide_streams();"
        "os.write(9, b'%d %d' % (os.open('/dev/null', 0), os.get_inheritable(1)))"
    )
    shell = f"exec 9>&1; exec {shlex.join([sys.executable, '-c', script])} <&- >&- 2>&-"
    assert subprocess.run(["bash", "-c", shell], capture_output=True, text=True).stdout == "3 1"


def test_absent_streams_are_known(monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    streams.provide_streams()
    assert all(streams.is_absent(stream) for stream in (sys.stdin, sys.stdout, sys.stderr))
