"""Text that a person has given is shown as it is: it is no markup."""

import re
import xml.etree.ElementTree

import matplotlib
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_fast.evaluation import LengthScore
from seq2seq_fast.visualization import draw_alignments, draw_bleu_by_length
from seq2seq_fast.visualization.alignment import Alignment

WITHOUT_PICTURE = "a$_\n\t\r\0\x1b\x85\u2028\ud800\udcff\uffff\x7f"
pytestmark = pytest.mark.filterwarnings("ignore:constrained_layout not applied")  # so many names leave no room
GROUPS = [LengthScore(1, 10, 5, 30.0), LengthScore(11, 20, 3, 20.0)]
TEXTS = [
    r"$\frac{$", "$5-$10", "$x$", r"\$", "_x", "__", "{}", "%s %d %", r"\textbf{a}",
    "<b>&amp;</b>", "[bold]", "#1", "^2",
    "~", "-", "", "*a*", "`x`", "a]]>", '"', "'", "{\\", "nolegend", "_nolegend_", "$$", "a$",
]  # fmt: skip


def texts_of(path):
    """The texts of an SVG file, parsed as strictly as XML is."""
    return [node.text or "" for node in xml.etree.ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture
def texts_stay_texts():
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        yield


def test_words_are_no_markup(tmp_path, texts_stay_texts):
    drawn = Alignment(TEXTS, TEXTS, torch.eye(len(TEXTS)))
    found = texts_of(draw_alignments([drawn], tmp_path / "a.svg"))
    assert sorted(found) == sorted(2 * [text for text in TEXTS if text])


def test_names_of_models_are_no_markup_and_none_is_missing(tmp_path, texts_stay_texts):
    found = texts_of(draw_bleu_by_length(dict.fromkeys(TEXTS, GROUPS), tmp_path / "a.svg"))
    assert set(TEXTS) - {""} <= set(found)


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_pictures_of_points_take_them_too(tmp_path, suffix):
    draw_alignments([Alignment(TEXTS, TEXTS, torch.eye(len(TEXTS)))], tmp_path / f"a{suffix}")
    draw_bleu_by_length(dict.fromkeys(TEXTS, GROUPS), tmp_path / f"b{suffix}")


def test_a_user_who_has_tex_typeset_everything_gets_words_too(tmp_path, texts_stay_texts):
    with matplotlib.rc_context({"text.usetex": True, "text.parse_math": True}):
        drawn = Alignment(["$5"], ["_x$"], torch.eye(1))
        assert sorted(texts_of(draw_alignments([drawn], tmp_path / "a.svg"))) == ["$5", "_x$"]


@settings(max_examples=15)
@given(st.lists(st.text(st.sampled_from(WITHOUT_PICTURE), max_size=4), min_size=1, max_size=4))
@pytest.mark.filterwarnings("ignore:no installed font")
def test_signs_without_a_picture_have_one_and_files_stay_whole(tmp_path_factory, words):
    folder = tmp_path_factory.mktemp("pictures")
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        found = texts_of(draw_alignments([Alignment(words, words, torch.eye(len(words)))], folder / "a.svg"))
        names = texts_of(draw_bleu_by_length(dict.fromkeys(words, GROUPS), folder / "b.svg"))
    shown = [re.sub(r"[^a$_]", "\N{REPLACEMENT CHARACTER}", word) for word in words]
    assert sorted(found) == sorted(2 * [word for word in shown if word])
    assert set(shown) - {""} <= set(names)
