"""Shuffled orders that are computed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.data.permutation import Permutation


@given(st.integers(0, 3000), st.integers(-5, 2**40))
def test_every_number_comes_once_in_parts_as_in_the_whole(size, seed):
    order = Permutation(size, seed)
    whole = order(0, size)
    assert sorted(whole.tolist()) == list(range(size))
    middle = size // 3
    assert np.array_equal(whole, np.concatenate([order(0, middle), order(middle, size)]))


def test_another_seed_gives_another_order():
    orders = {tuple(Permutation(50, seed)(0, 50).tolist()) for seed in range(20)}
    assert len(orders) == 20


def test_every_number_is_as_likely_at_every_place():
    size, seeds = 10, 4000
    counts = np.zeros((size, size))
    for seed in range(seeds):
        counts[np.arange(size), Permutation(size, seed)(0, size)] += 1
    expected = seeds / size
    # 81 degrees of freedom: chi-square exceeds 140 once in twenty thousand orders.
    assert ((counts - expected) ** 2 / expected).sum() < 140


def test_a_part_of_a_huge_order_needs_no_more_than_the_part():
    found = Permutation(10**12, 1)(5 * 10**11, 5 * 10**11 + 1000)
    assert len(set(found.tolist())) == 1000 and found.min() >= 0 and found.max() < 10**12
    assert 0.4 < (found / 10**12).mean() < 0.6
