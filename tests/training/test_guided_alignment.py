"""Attention that is trained towards known alignments."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.data import InputError, pharaoh_line
from seq2seq_fast.data.grammar import embedded_corpus
from seq2seq_fast.decoding import load_model_folder
from seq2seq_fast.training.loss import alignment_loss
from seq2seq_fast.training.run import train
from tests.training.corpora import settings, write_corpus

PAIRS = 40


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = write_corpus(tmp_path_factory.mktemp("corpus"), train=PAIRS, validation=4)
    lines = [pharaoh_line(pair.alignment) for pair in embedded_corpus(size=PAIRS, max_words=8)]
    (folder / "train.align").write_text("".join(f"{line}\n" for line in lines))
    (folder / "short.align").write_text("0-0\n")
    return folder


@given(seed=st.integers(0, 99), rows=st.integers(1, 3), targets=st.integers(1, 4), sources=st.integers(1, 5))
def test_it_is_the_cross_entropy_of_attention_and_alignment(seed, rows, targets, sources):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(rows, targets, sources, generator=generator).softmax(2)
    gold = (torch.rand(rows, targets, sources, generator=generator) < 0.4).float()
    shares = gold / gold.sum(2, keepdim=True).clamp(min=1)
    expected = -(shares * weights.log()).sum() / 7
    torch.testing.assert_close(alignment_loss(weights, gold.nonzero(), 7), expected)


def test_attention_that_has_vanished_gives_a_finite_loss_and_gradient():
    weights = torch.tensor([[[0.0, 1.0]]], requires_grad=True)
    loss = alignment_loss(weights, torch.tensor([[0, 0, 0]]), 1)
    loss.backward()
    assert loss.isfinite() and weights.grad.isfinite().all()


def linked_share(folder):
    """How often the attention of gold targets is largest at a linked source word."""
    model, source, target = load_model_folder(folder)
    hits = total = 0
    for pair in embedded_corpus(size=PAIRS, max_words=8):
        sources, targets = source.encode(pair.source), target.encode(pair.target)
        tokens = torch.tensor([[*sources, source.eos_id]])
        with torch.no_grad():
            output = model(tokens, torch.tensor([len(sources) + 1]), torch.tensor([[target.bos_id, *targets[:-1]]]))
        best = output.weights[0, :, :-1].argmax(1).tolist()
        linked = {j for _, j in pair.alignment}
        hits += sum((best[j], j) in pair.alignment for j in linked)
        total += len(linked)
    return hits / total


def test_attention_learns_the_alignment(corpus, tmp_path):
    aligned = {"train_alignment": "train.align", "alignment_words": "signs"}
    shares = []
    for name, data, weight in (("plain", {}, 0.0), ("guided", aligned, 1.0)):
        optimization = {"guided_alignment": weight, "learning_rate": 0.02}
        train(*settings(corpus, tmp_path / name, data=data, optimization=optimization, max_steps=60, validate_every=30))
        shares.append(linked_share(tmp_path / name))
    assert shares[1] > 0.7 and shares[1] > shares[0] + 0.2


@pytest.mark.parametrize(
    ("data", "weight", "model", "message"),
    [
        ({}, 1.0, {}, "guided_alignment needs data.train_alignment"),
        ({"train_alignment": "train.align"}, 0.0, {}, "but optimization.guided_alignment is 0"),
        ({"train_alignment": "short.align"}, 1.0, {}, "has 1 lines for 40 training pairs"),
        ({"train_alignment": "train.align"}, 1.0, {}, "links a word that is not there"),
        ({"train_alignment": "none.align"}, 1.0, {}, "none.align: no such file"),
        ({"train_alignment": "train.align", "alignment_words": "signs"}, 1.0, {"attention": None}, "needs attention"),
    ],
)
def test_what_cannot_guide_is_named(corpus, tmp_path, data, weight, model, message):
    with pytest.raises(InputError, match=message):
        train(*settings(corpus, tmp_path / "m", data=data, optimization={"guided_alignment": weight}, model=model))


def test_alignment_lines_that_say_nothing_are_counted_by_their_reason(corpus, tmp_path, capsys):
    lines = (corpus / "train.align").read_text().splitlines()
    lines[:2] = ["", ""]
    (corpus / "gaps.align").write_text("".join(f"{line}\n" for line in lines))
    data = {"train_alignment": "gaps.align", "alignment_words": "signs"}
    train(*settings(corpus, tmp_path / "m", max_steps=1, data=data, optimization={"guided_alignment": 0.5}))
    told = capsys.readouterr().out
    assert "40 training pairs (0 left out; of gaps.align's lines 2 left out: 2 empty; their pairs are trained" in told
