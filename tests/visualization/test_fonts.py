"""Fonts that have a text's signs."""

import warnings

import pytest

from seq2seq_fast.visualization import fonts


def test_german_needs_matplotlibs_own_font_alone():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fonts.families_for(["größer", "Äpfel", "</s>"]) == ["DejaVu Sans"]


def test_a_font_that_has_the_signs_is_added(monkeypatch):
    signs = {"DejaVu Sans": frozenset("ab"), "Other": frozenset("c"), "Hangul": frozenset("한국")}
    monkeypatch.setattr(fonts, "_signs", signs.__getitem__)
    monkeypatch.setattr(fonts, "_others", lambda: ["Other", "Hangul"])
    assert fonts.families_for(["ab 한", "국"]) == ["DejaVu Sans", "Hangul"]
    with pytest.warns(UserWarning, match=r"no installed font has 'z'.*pip install koreanize-matplotlib"):
        assert fonts.families_for(["cz"]) == ["DejaVu Sans", "Other"]
