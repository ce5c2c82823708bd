"""Commands as processes of their own, whose reader goes away or that are interrupted at the keyboard."""

import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from seq2seq_fast import cli
from tests.commands.test_bad_input import training
from tests.training.corpora import write_corpus

COMMAND = [sys.executable, "-m", "seq2seq_fast.cli"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"), train=20, validation=3)


@contextmanager
def interruptible(arguments):
    """A command that an interrupt reaches, also where the tests run in a shell's background and ignore it."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        process.kill()


def test_a_training_that_nobody_listens_to_ends_with_its_model(corpus, tmp_path):
    arguments = training(corpus, tmp_path / "model", **{"training.progress": True})
    command = f"set -o pipefail; {shlex.join([*COMMAND, *arguments])} 2>&1 | true"
    assert subprocess.run(["bash", "-c", command]).returncode == 0
    assert (tmp_path / "model/model.safetensors").is_file()


def test_control_c_ends_a_training_with_one_line_and_it_goes_on_from_its_checkpoint(corpus, tmp_path):
    last = tmp_path / "model/training/checkpoints/last.ckpt"
    endless = training(corpus, tmp_path / "model", **{"training.max_epochs": 100_000})
    with interruptible(endless) as process:
        until = time.monotonic() + 300
        while not last.exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=300)[1].splitlines()
    assert process.returncode == 130
    assert said[-1] == f"seq2seq-fast: error: interrupted; --training.resume=true goes on from {last}"
    assert "Traceback" not in "".join(said) and not (tmp_path / "model/model.safetensors").exists()
    shorter = [*endless, "--training.max_steps=1", "--training.resume=true"]
    assert cli.main(shorter) == 0 and (tmp_path / "model/model.safetensors").is_file()


def test_control_c_before_a_command_has_begun_is_one_line(monkeypatch, capsys):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "find_spec", interrupt)
    assert cli.main(["train"]) == 130
    assert capsys.readouterr().err == "seq2seq-fast: error: interrupted\n"
