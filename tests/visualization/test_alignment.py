"""Alignment pictures."""

import warnings

import pytest
import torch

from seq2seq_fast.visualization import draw_alignments
from seq2seq_fast.visualization.alignment import Alignment

MAP = Alignment(["ein", "großes", "Haus"], ["a", "big", "house", "."], torch.eye(4)[:, :3])


@pytest.mark.parametrize(("suffix", "head"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_the_ending_chooses_the_format(tmp_path, suffix, head):
    path = draw_alignments([MAP], tmp_path / f"map{suffix}")
    assert path.read_bytes().startswith(head)


def test_the_words_stand_in_the_picture(tmp_path):
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        text = draw_alignments([MAP, MAP, MAP], tmp_path / "map.svg").read_text(encoding="utf-8")
    for word in (*MAP.source, *MAP.target):
        assert f">{word}<" in text
    assert text.count(">großes<") == 3


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_korean_is_drawn_with_a_font_that_has_it(tmp_path, suffix):
    """matplotlib warns of every sign that the fonts it is given lack."""
    words = Alignment(["나는", "큰", "집을", "봅니다", "."], ["ich", "sehe", "ein", "großes", "Haus"], torch.eye(5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert draw_alignments([words], tmp_path / f"map{suffix}").is_file()


def test_the_same_maps_give_the_same_picture(tmp_path):
    first, second = (draw_alignments([MAP], tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second


def test_weights_must_fit_the_words(tmp_path):
    with pytest.raises(ValueError, match=r"\(2, 2\) do not fit 4 x 3"):
        draw_alignments([MAP._replace(weights=torch.zeros(2, 2))], tmp_path / "map.png")
    with pytest.raises(ValueError, match="no alignment"):
        draw_alignments([], tmp_path / "map.png")
