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


def test_no_mark_is_cut_off_and_both_panels_show_the_same_steps(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr("seq2seq_fast.visualization.curves.save", lambda figure, path: figures.append(figure))
    draw_training(CURVES | {"validation_bleu": [(15, 95.0), (20, 96.0)]}, tmp_path / "a.png")
    draw_bleu_by_length({"RNNsearch": [LengthScore(1, 10, 5, 100.0)]}, tmp_path / "b.png")
    loss, bleu, lengths = (axes for figure in figures for axes in figure.axes)
    assert loss.get_xlim() == bleu.get_xlim()
    assert bleu.get_ylim()[1] > 100 and lengths.get_ylim()[1] > 104 and loss.get_ylim()[1] > 5.2


def test_points_that_are_no_numbers_are_left_out(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr("seq2seq_fast.visualization.curves.save", lambda figure, path: figures.append(figure))
    bad = [(30, float("nan")), (40, float("inf"))]
    draw_training({"train_loss": CURVES["train_loss"] + bad, "validation_loss": bad}, tmp_path / "a.png")
    training, validation = figures[0].axes[0].lines
    assert list(training.get_xdata()) == [10, 20] and not len(validation.get_xdata())


def test_a_picture_that_cannot_be_drawn_leaves_the_earlier_one(tmp_path, monkeypatch):
    path = draw_training(CURVES, tmp_path / "curves.png")
    before = path.read_bytes()

    def broken(figure, name, **settings):
        name.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", broken)
    with pytest.raises(InputError, match=r"curves\.png: cannot be written \(no space left\)"):
        draw_training(CURVES, path)
    assert path.read_bytes() == before and [one.name for one in tmp_path.iterdir()] == ["curves.png"]


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(InputError, match="ends in"):
        draw_training(CURVES, tmp_path / "curves.bmp")
