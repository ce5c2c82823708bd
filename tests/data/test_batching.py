"""Batches of a token budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_fast.data import TokenBudgetSampler

lengths_of_pairs = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), max_size=200)


@given(lengths_of_pairs, st.integers(1, 200), st.booleans(), st.integers(0, 3), st.integers(1, 4))
def test_every_pair_comes_once_and_the_budget_holds(lengths, budget, shuffle, epoch, pool):
    sampler = TokenBudgetSampler(lengths, budget, shuffle=shuffle, pool_batches=pool)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert len(sampler) == len(batches) and all(batches)
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(max(lengths[i]) for i in batch) <= budget


def test_same_seed_and_epoch_give_the_same_batches_and_others_differ():
    lengths = [(1 + i % 37, 1 + i % 29) for i in range(500)]

    def batches(seed, epoch):
        sampler = TokenBudgetSampler(lengths, 300, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert batches(1, 2) == batches(1, 2)
    assert batches(1, 2) != batches(1, 3) and batches(1, 2) != batches(2, 2)


def test_a_second_epoch_is_shuffled_anew_by_the_same_sampler():
    sampler = TokenBudgetSampler([(3, 3)] * 50, 30)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    sampler.set_epoch(0)
    assert list(sampler) == first


def test_neighbours_in_length_share_a_batch():
    lengths = [(1 + (7919 * i) % 50, 1 + (7919 * i) % 50) for i in range(2000)]
    padded = filled = 0
    for batch in TokenBudgetSampler(lengths, 1000, pool_batches=20):
        longest = max(lengths[i][0] for i in batch)
        padded += longest * len(batch)
        filled += sum(lengths[i][0] for i in batch)
    assert filled / padded > 0.9


def test_a_budget_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        TokenBudgetSampler([(1, 1)], 0)


def test_batches_that_were_trained_before_are_skipped_once():
    lengths = [(1 + i % 37, 1 + i % 29) for i in range(500)]
    whole = list(TokenBudgetSampler(lengths, 300))
    sampler = TokenBudgetSampler(lengths, 300, skip=4)
    assert list(sampler) == whole[4:] and list(sampler) == whole and len(sampler) == len(whole)


@given(lengths_of_pairs, st.integers(1, 200), st.booleans(), st.integers(1, 5))
def test_shards_share_every_batch_and_none_goes_without(lengths, budget, shuffle, shards):
    if 0 < len(lengths) < shards:
        with pytest.raises(ValueError, match=f"shard 0 of {shards}"):
            TokenBudgetSampler(lengths, budget, shards=shards)
        return
    parts = [
        list(TokenBudgetSampler(lengths, budget, shuffle=shuffle, pool_batches=2, shards=shards, shard=shard))
        for shard in range(shards)
    ]
    assert len({len(part) for part in parts}) == 1 and all(batch for part in parts for batch in part)
    assert sorted(index for part in parts for batch in part for index in batch) == list(range(len(lengths)))
    joined = TokenBudgetSampler(lengths, shards * budget, shuffle=shuffle, pool_batches=2)
    if all(len(batch) >= shards for batch in joined):
        assert [set(batch) for batch in joined] == [
            {index for batch in batches for index in batch} for batches in zip(*parts, strict=True)
        ]
