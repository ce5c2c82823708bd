"""Learning rate schedules."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.training.schedule import Schedule

KINDS = ("cosine", "inverse_sqrt", "constant")


@given(st.sampled_from(KINDS), st.integers(0, 50), st.integers(1, 500))
def test_the_factor_rises_in_the_warmup_and_never_after(kind, warmup, total):
    schedule = Schedule(kind, warmup, lambda step: step / total)
    factors = [schedule(step) for step in range(total)]
    assert all(0 <= factor <= 1 for factor in factors)
    after = factors[max(warmup - 1, 0) :]
    assert all(later <= earlier for earlier, later in itertools.pairwise(after))


@pytest.mark.parametrize("kind", KINDS)
def test_warmup_is_linear(kind):
    schedule = Schedule(kind, 100, lambda step: 0.0)
    assert [schedule(step) for step in (0, 49, 99)] == [0.01, 0.5, 1.0]


def test_cosine_follows_the_spent_share_whatever_the_step():
    spent = {"share": 0.0}
    schedule = Schedule("cosine", 1, lambda step: spent["share"])
    for share, factor in ((0.0, 1.0), (0.5, 0.5), (1.0, 0.0), (1.3, 0.0), (0.25, (1 + math.sqrt(0.5)) / 2)):
        spent["share"] = share
        assert schedule(7) == pytest.approx(factor, abs=1e-12)


def test_inverse_sqrt_halves_in_four_times_the_steps():
    schedule = Schedule("inverse_sqrt", 10, lambda step: 0.9)
    assert schedule(39) == pytest.approx(0.5 * schedule(9))


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="'linear'"):
        Schedule("linear", 1, lambda step: 0.0)
