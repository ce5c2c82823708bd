"""Alignment error rate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.data import InputError
from seq2seq_fast.data.pharaoh import GoldAlignment
from seq2seq_fast.evaluation import alignment_quality

links = st.frozensets(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1)


def test_figures_are_those_of_the_formula():
    gold = [GoldAlignment(frozenset({(0, 0), (1, 1)}), frozenset({(0, 0), (1, 1), (2, 2)}))]
    quality = alignment_quality([[(0, 0), (2, 2), (3, 3)]], gold)
    assert (quality.precision, quality.recall) == (2 / 3, 1 / 2)
    assert quality.error_rate == pytest.approx(1 - (1 + 2) / (3 + 2))
    assert str(quality) == "AER 0.400, precision 0.667, recall 0.500"


@given(found=links, sure=links)
def test_with_sure_links_alone_it_is_one_less_the_f_measure(found, sure):
    quality = alignment_quality([found], [GoldAlignment(sure, sure)])
    common = len(found & sure)
    assert quality.error_rate == pytest.approx(1 - 2 * common / (len(found) + len(sure)))
    assert (quality.error_rate == 0) == (found == sure)


def test_what_cannot_be_compared_is_refused():
    gold = GoldAlignment(frozenset({(0, 0)}), frozenset({(0, 0)}))
    with pytest.raises(InputError, match="2 alignments but 1 annotated"):
        alignment_quality([[], []], [gold])
    with pytest.raises(InputError, match="0 links"):
        alignment_quality([[]], [gold])
