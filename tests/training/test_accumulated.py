"""Batches whose gradients make one step: the step of one batch that holds all of their pairs."""

import pytest
import torch

from seq2seq_fast.data import pharaoh_line
from seq2seq_fast.data.grammar import embedded_corpus
from seq2seq_fast.training.run import train
from tests.training.corpora import settings, write_corpus

PAIRS = 30


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = write_corpus(tmp_path_factory.mktemp("corpus"), train=PAIRS, validation=4)
    lines = [pharaoh_line(pair.alignment) for pair in embedded_corpus(size=PAIRS, max_words=8)]
    (folder / "train.align").write_text("".join(f"{line}\n" for line in lines))
    return folder


def stepped(corpus, output, batch_tokens, accumulate, options, data):
    """Return the gradients' mean in Adam after an epoch, the loss and tokens that the curves have, and the steps."""
    optimization = {"gradient_clip": 0, "accumulate": accumulate} | options
    data = {"batch_tokens": batch_tokens} | data
    same = {"max_epochs": 1, "precision": "64", "optimization": optimization, "data": data}
    steps = train(*settings(corpus, output, **same)).steps
    state = torch.load(output / "training/checkpoints/last.ckpt", weights_only=True)
    adam = state["optimizer_states"][0]["state"]
    losses = torch.tensor(state["callbacks"]["Curves"]["losses"]).sum(0)
    return {number: one["exp_avg"] for number, one in adam.items()}, losses, steps


@pytest.mark.parametrize(
    ("options", "data"),
    [
        ({"label_smoothing": 0.0}, {}),
        ({"label_smoothing": 0.3}, {}),
        ({"guided_alignment": 0.7}, {"train_alignment": "train.align", "alignment_words": "signs"}),
    ],
    ids=["likelihood", "smoothing", "guided alignment"],
)
def test_an_accumulated_step_is_that_of_the_joined_batches(corpus, tmp_path, capsys, options, data):
    parts, losses, steps = stepped(corpus, tmp_path / "parts", 60, 50, options, data)
    told = capsys.readouterr()
    joined, loss, once = stepped(corpus, tmp_path / "joined", 100_000, 1, options, data)
    assert (steps, once) == (1, 1) and "1 batches an epoch" in capsys.readouterr().out
    assert "1 batches an epoch" not in told.out, "several batches are the case"
    for number, gradient in joined.items():
        torch.testing.assert_close(parts[number], gradient, rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(losses, loss)
    assert f"train loss {float(loss[0] / loss[1]):.3f}" in told.err
