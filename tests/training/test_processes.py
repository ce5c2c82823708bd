"""Training in several processes."""

import csv
import subprocess
import sys

import pytest
import torch

from seq2seq_fast.data import InputError
from seq2seq_fast.training.run import train
from tests.training.corpora import MODEL, settings, write_corpus

SETTINGS = {
    "training": {"precision": "64", "max_steps": 20, "average_checkpoints": 2, "average_always": True},
    "optimization": {"learning_rate": 0.01, "warmup_steps": 3, "accumulate": 2},
}


def command(corpus, output, processes):
    """Return the train command of the settings, over torchrun."""
    flags = {
        "data.folder": corpus, "data.train_source": "train.de", "data.train_target": "train.en",
        "data.validation_source": "validation.de", "data.validation_target": "validation.en",
        "data.batch_tokens": 75, "vocabulary.kind": "words", "vocabulary.size": 400, "vocabulary.joint": False,
        "training.output": output, "training.progress": False, "training.logger": "csv", "training.device": "cpu",
    }  # fmt: skip
    flags |= {f"model.{name}": value for name, value in MODEL.items()}
    flags |= {f"{group}.{name}": value for group, values in SETTINGS.items() for name, value in values.items()}
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    program = ["-m", "seq2seq_fast.cli", "train"]
    return [sys.executable, *launcher, *program, *(f"--{name}={value}" for name, value in flags.items())]


def curves(output):
    [path] = output.glob("training/logs/*/metrics.csv")
    with path.open() as stream:
        rows = list(csv.DictReader(stream))
    names = ("train_loss", "validation_loss", "validation_bleu")
    return {name: [float(row[name]) for row in rows if row.get(name)] for name in names}


def test_two_processes_train_as_one_does_with_the_joined_batches(tmp_path):
    corpus = write_corpus(tmp_path / "corpus", train=61, validation=13)
    found = subprocess.run(command(corpus, tmp_path / "two", 2), capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr[-3000:]
    assert found.stdout.count("after 20 steps") == 1
    data, optimization = {"batch_tokens": 150}, SETTINGS["optimization"]
    one = train(*settings(corpus, tmp_path / "one", data=data, optimization=optimization, **SETTINGS["training"]))
    assert one.steps == 20
    ours, joined = curves(tmp_path / "two"), curves(tmp_path / "one")
    assert len(joined["train_loss"]) >= 2 and len(joined["validation_loss"]) >= 3
    assert ours == {name: pytest.approx(values, rel=1e-9) for name, values in joined.items()}
    states = [
        torch.load(tmp_path / name / "training/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("one", "two")
    ]
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-8, atol=1e-10)


def test_more_processes_than_pairs_are_refused(tmp_path):
    corpus = write_corpus(tmp_path / "corpus", train=10, validation=3)
    with pytest.raises(InputError, match="4 processes cannot share 10 training and 3 validation pairs"):
        train(*settings(corpus, tmp_path / "model", devices=2, nodes=2))
