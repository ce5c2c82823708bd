"""Curves."""

import pytest

from seq2seq_fast.data import InputError
from seq2seq_fast.evaluation import LengthScore
from seq2seq_fast.visualization import draw_bleu_by_length, draw_training

GROUPS = [LengthScore(1, 10, 5, 30.0), LengthScore(11, 20, 3, 20.0)]
CURVES = {"train_loss": [(10, 5.0), (20, 4.0)], "validation_loss": [(20, 4.5)], "validation_bleu": [(20, 3.0)]}


def test_pictures_name_models_and_axes(tmp_path):
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        lengths = draw_bleu_by_length({"RNNsearch": GROUPS, "RNNenc": GROUPS[:1]}, tmp_path / "a.svg").read_text()
        training = draw_training(CURVES, tmp_path / "b.svg").read_text()
    assert all(f">{text}<" in lengths for text in ("RNNsearch", "RNNenc", "BLEU", "source length (words)"))
    assert all(f">{text}<" in training for text in ("training", "validation", "step", "BLEU (greedy)"))


def test_a_picture_that_cannot_be_drawn_leaves_the_earlier_one(tmp_path, monkeypatch):
    path = draw_training(CURVES, tmp_path / "curves.png")
    before = path.read_bytes()

    def broken(figure, name, **settings):
        name.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", broken)
    with pytest.raises(OSError, match="no space left"):
        draw_training(CURVES, path)
    assert path.read_bytes() == before and [one.name for one in tmp_path.iterdir()] == ["curves.png"]


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(InputError, match="ends in"):
        draw_training(CURVES, tmp_path / "curves.bmp")
