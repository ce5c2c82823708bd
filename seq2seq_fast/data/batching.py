"""Batches of a token budget, of sentences of about the same length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler


class TokenBudgetSampler(Sampler[list[int]]):
    """Yield batches of indices whose padded size stays within a token budget.

    The sentences are shuffled, cut into pools, and sorted by length inside each pool; neighbours then share a batch, so
    little of it is padding, while a sentence still meets others in every epoch. The batches come in shuffled order. The
    same seed and epoch give the same batches.

    Args:
        lengths: source and target length of each sentence pair.
        batch_tokens: the most tokens of a batch, padding included, counted on its longer side. A pair that is longer
            than this makes a batch of its own.
        shuffle: False takes the pairs in order of length, the same batches in each epoch.
        pool_batches: about how many batches a pool gives. More leaves less padding and less variety.
        seed: with the epoch, the seed of every shuffle.
        skip: leave out this many batches of the first epoch that is taken, since they have been trained on before.
        shards: how many processes take their part of every batch. The budget is that of one part, and every batch has a
            pair for each of them, even where that breaks the budget.
        shard: which part to yield, from 0; sentences of all lengths fall to each.

    Raises:
        ValueError: a number is out of range, or there are fewer pairs than shards.
    """

    def __init__(
        self,
        lengths: Sequence[tuple[int, int]],
        batch_tokens: int,
        *,
        shuffle: bool = True,
        pool_batches: int = 50,
        seed: int = 0,
        skip: int = 0,
        shards: int = 1,
        shard: int = 0,
    ) -> None:
        if batch_tokens < 1 or pool_batches < 1:
            raise ValueError(f"batch_tokens and pool_batches are at least 1, not {batch_tokens} and {pool_batches}")
        if not 0 <= shard < shards or 0 < len(lengths) < shards:
            raise ValueError(f"shard {shard} of {shards} cannot be taken of {len(lengths)} pairs")
        self._lengths = lengths
        self._batch_tokens = batch_tokens * shards
        self._shards, self._shard = shards, shard
        self._shuffle = shuffle
        self._pool_batches = pool_batches
        self._seed = seed
        self._skip = skip
        self._epoch = 0
        self._batches: list[list[int]] | None = None

    def set_epoch(self, epoch: int) -> None:
        """Choose the shuffle of this epoch; Lightning calls this at the begin of each."""
        if epoch != self._epoch and self._shuffle:
            self._batches = None
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._planned())

    def __iter__(self) -> Iterator[list[int]]:
        skip, self._skip = self._skip, 0
        return (batch[self._shard :: self._shards] for batch in self._planned()[skip:])

    def _planned(self) -> list[list[int]]:
        if self._batches is None:
            self._batches = self._plan()
        return self._batches

    def _plan(self) -> list[list[int]]:
        if not self._shuffle:
            return self._cut(range(len(self._lengths)))
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        order = torch.randperm(len(self._lengths), generator=generator).tolist()
        batches: list[list[int]] = []
        pool: list[int] = []
        pool_tokens = 0
        for index in order:
            pool.append(index)
            pool_tokens += max(self._lengths[index])
            if pool_tokens >= self._pool_batches * self._batch_tokens and len(pool) >= self._shards:
                batches += self._cut(pool)
                pool, pool_tokens = [], 0
        if batches and len(pool) < self._shards:
            batches[-1] += pool
        else:
            batches += self._cut(pool)
        return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]

    def _cut(self, pool: Sequence[int]) -> list[list[int]]:
        """Sort a pool by length and cut it into batches that keep the budget."""
        batches: list[list[int]] = []
        longest = 0
        for index in sorted(pool, key=lambda i: (max(self._lengths[i]), self._lengths[i])):
            longest = max(longest, *self._lengths[index])
            full = not batches or longest * (len(batches[-1]) + 1) > self._batch_tokens
            if full and (not batches or len(batches[-1]) >= self._shards):
                batches.append([])
                longest = max(self._lengths[index])
            batches[-1].append(index)
        if len(batches) > 1 and len(batches[-1]) < self._shards:
            last = batches.pop()
            batches[-1] += last
        return batches
