"""Trainings that are killed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from seq2seq_fast.training import TeacherForcingConfig
from seq2seq_fast.training.run import train
from tests.training.corpora import settings, write_corpus

ROOT = Path(__file__).parents[2]
SAME = {
    "model": {"dropout": 0.3}, "max_steps": 90, "average": 0.9, "keep_best": 3, "keep_last": 2,
    "average_checkpoints": 2, "average_always": True,
}  # fmt: skip
FORCING = {"ratio": 0.9, "decay": "linear", "decay_rate": 0.005, "prediction": "sample"}
PROGRAM = """
import sys
from pathlib import Path
from seq2seq_fast.training import TeacherForcingConfig
from seq2seq_fast.training.run import train
from tests.training.corpora import settings
same, forcing = eval(sys.argv[3])
train(*settings(Path(sys.argv[1]), Path(sys.argv[2]), **same), TeacherForcingConfig(**forcing))
"""


def start(corpus, output, **changes):
    arguments = (str(corpus), str(output), repr((SAME | changes, FORCING)))
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, stderr=subprocess.DEVNULL)


def kill_after_checkpoints(process, last, count, more):
    """Kill a process some seconds after it has written so many checkpoints."""
    seen, before = 0, last.stat().st_mtime_ns if last.exists() else 0
    until = time.monotonic() + 300
    while seen < count and time.monotonic() < until:
        assert process.poll() is None, "the training ended before it was killed"
        now = last.stat().st_mtime_ns if last.exists() else 0
        seen, before = seen + (now != before), now
        time.sleep(0.001)
    assert seen == count
    time.sleep(more)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


@pytest.mark.prove
def test_a_training_killed_again_and_again_ends_as_an_uninterrupted_one(tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    last = tmp_path / "killed/training/checkpoints/last.ckpt"
    for number, more in enumerate((0.0, 0.02, 0.11)):
        process = start(corpus, tmp_path / "killed", resume=number > 0)
        kill_after_checkpoints(process, last, 2 + number, more)
    forcing = TeacherForcingConfig(**FORCING)
    result = train(*settings(corpus, tmp_path / "killed", **SAME, resume=True), forcing)
    whole = train(*settings(corpus, tmp_path / "whole", **SAME), forcing)
    assert result.bleu == whole.bleu
    ours, theirs = (
        torch.load(tmp_path / name / "training/checkpoints/last.ckpt", weights_only=True)
        for name in ("killed", "whole")
    )
    assert ours["global_step"] == theirs["global_step"] == 90
    for name, value in theirs["state_dict"].items():
        assert torch.equal(ours["state_dict"][name], value)
    adam, expected = ours["optimizer_states"][0]["state"], theirs["optimizer_states"][0]["state"]
    for index, state in expected.items():
        assert all(torch.equal(value, adam[index][name]) for name, value in state.items())
    kept = [{path.name for path in (tmp_path / name).rglob("*.ckpt")} for name in ("killed", "whole")]
    assert kept[0] == kept[1] and len(kept[0]) == 1 + 3 + 2
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("killed", "whole")]
    assert models[0] == models[1]
