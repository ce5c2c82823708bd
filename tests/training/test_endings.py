"""Trainings that end before their end, and two in one folder."""

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
import torch

from seq2seq_fast.data import InputError
from seq2seq_fast.training.module import TranslationModule
from seq2seq_fast.training.run import train
from tests.training.corpora import settings, weights, write_corpus
from tests.training.test_processes import command

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from pathlib import Path
from seq2seq_fast import cli
from seq2seq_fast.data import InputError
from seq2seq_fast.training.run import train
from tests.training.corpora import settings
cli._main = lambda _: train(*settings(Path(sys.argv[1]), Path(sys.argv[2]), **eval(sys.argv[3]))) and 0
try:
    sys.exit(cli.main([]))
except InputError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"), train=40, validation=4)


def start(corpus, output, **changes):
    """Start a training that goes on for long, in a process of its own, and wait until it has a checkpoint."""
    changes = {"max_steps": 100_000, "data": {"workers": 1}} | changes
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(corpus), str(output), repr(changes)],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    last = output / "training/checkpoints/last.ckpt"
    until = time.monotonic() + 120
    while not last.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    assert last.exists(), process.communicate()[1]
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_ends_a_training_in_one_line_that_says_how_it_goes_on(corpus, tmp_path, number):
    process = start(corpus, tmp_path / "m")
    process.send_signal(number)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130 and "Traceback" not in said
    assert said.splitlines()[-1].startswith("seq2seq-fast: error: interrupted; --training.resume=true goes on from")
    steps = torch.load(tmp_path / "m/training/checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert train(*settings(corpus, tmp_path / "m", max_steps=steps + 1, resume=True)).steps == steps + 1


@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.prove), signal.SIGKILL])
def test_a_folder_has_one_training_and_is_free_when_that_has_ended(corpus, tmp_path, number):
    process = start(corpus, tmp_path / "m")
    try:
        for again in ({"resume": True}, {"overwrite": True}):
            message = rf"training: another training writes here, process {process.pid} on .*: wait until it has ended"
            with pytest.raises(InputError, match=message):
                train(*settings(corpus, tmp_path / "m", **again))
        assert process.poll() is None, "the first goes on"
    finally:
        process.send_signal(number)
        process.wait(300)
    # At once: workers that have not yet noticed hold nothing.
    steps = torch.load(tmp_path / "m/training/checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert train(*settings(corpus, tmp_path / "m", max_steps=steps + 1, resume=True)).steps == steps + 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "there is not enough memory .*lower data.batch_tokens"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "there is not enough memory .CUDA out.*goes on from"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you"), "there is not enough memory"),
        (OSError(12, "Cannot allocate memory"), "there is not enough memory .Cannot allocate"),
        (
            RuntimeError("unable to mmap 64 bytes from file </f>: Cannot allocate memory (12)"),
            "there is not enough memory",
        ),
        (RuntimeError("DataLoader worker (pid 5) is killed by signal: Killed."), "of data.workers was killed.*resume"),
        (BrokenProcessPool("A process was terminated"), "of data.workers was killed"),
    ],
)
def test_want_of_memory_and_killed_workers_are_one_line(corpus, tmp_path, monkeypatch, error, said):
    def fail(module, batch, index, original=TranslationModule.training_step):
        if module.trainer.current_epoch == 1:
            raise error
        return original(module, batch, index)

    monkeypatch.setattr(TranslationModule, "training_step", fail)
    with pytest.raises(InputError, match=said):
        train(*settings(corpus, tmp_path / "m", max_epochs=3))


def test_an_error_of_the_program_stays_one(corpus, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("a mistake")

    monkeypatch.setattr(TranslationModule, "training_step", fail)
    with pytest.raises(RuntimeError, match="a mistake"):
        train(*settings(corpus, tmp_path / "m"))


def test_a_worker_that_is_killed_ends_the_training_in_one_line(corpus, tmp_path):
    process = start(corpus, tmp_path / "m")
    until, said = time.monotonic() + 60, None
    while process.poll() is None and time.monotonic() < until:
        found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in found:
            if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(int(child), signal.SIGKILL)
        time.sleep(0.02)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "a process of data.workers was killed" in said.splitlines()[-1]


@pytest.mark.parametrize(
    "variables",
    [
        {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "train", "SLURM_PROCID": "2", "SLURM_JOB_ID": "1", "SLURM_NODEID": "1"},
        pytest.param({"SLURM_NTASKS": "many"}, marks=pytest.mark.prove),
        pytest.param({"TORCHELASTIC_RUN_ID": "none"}, marks=pytest.mark.prove),
        pytest.param(
            {"TORCHELASTIC_RUN_ID": "none", "LOCAL_WORLD_SIZE": "x", "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"},
            marks=pytest.mark.prove,
        ),
        {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "NODE_RANK": "1"},
    ],
    ids=["an allocation", "a number that is none", "a name alone", "a part of torchrun's", "another launcher's"],
)
def test_variables_that_others_have_left_change_nothing(corpus, tmp_path, variables):
    flags = [flag for flag in command(corpus, tmp_path / "m", 1)[1:] if flag.startswith("--") and "." in flag]
    flags = [flag for flag in flags if not flag.startswith("--training.max_steps")] + ["--training.max_steps=2"]
    done = subprocess.run(
        [sys.executable, "-m", "seq2seq_fast", "train", *flags],
        env=os.environ | variables, cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "validation BLEU" in done.stdout and "Traceback" not in done.stderr and "srun" not in done.stderr
    assert (tmp_path / "m/model.safetensors").exists()


def test_a_kept_checkpoint_goes_on_in_the_place_of_the_last(corpus, tmp_path, capsys):
    output = tmp_path / "m"
    train(*settings(corpus, output, max_steps=6, validate_every=0.5, keep_last=3, average=0.9))
    folder = output / "training/checkpoints"
    kept = sorted(folder.glob("recent-*"), key=lambda path: int(path.stem.split("step")[1]))[0]
    before = torch.load(kept, weights_only=True)
    shutil.copy(kept, folder / "last.ckpt")
    step = before["global_step"]
    result = train(*settings(corpus, output, max_steps=step + 3, resume=True, keep_last=3, average=0.9))
    assert result.steps == step + 3
    after = weights(output)[0]
    assert any(not torch.equal(after[name], value) for name, value in before["state_dict"].items())
    assert "the optimizer begins anew" in capsys.readouterr().err
