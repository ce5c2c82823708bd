"""Batches of a token budget, of sentences of about the same length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from seq2seq_fast.data.permutation import Permutation
from seq2seq_fast.data.store import StoredLengths

# The mean length, which sizes the pools, is taken of at most about this many pairs.
_MEAN_OF = 1_000_000


class TokenBudgetSampler(Sampler[list[int]]):
    """Yield batches of indices whose padded size stays within a token budget.

    The sentences are shuffled, cut into pools, and sorted by length inside each pool; neighbours then share a batch, so
    little of it is padding, while a sentence still meets others in every epoch. The batches of a pool come in shuffled
    order. The same seed and epoch give the same batches. Only one pool at a time is in memory.

    Args:
        lengths: source and target length of each sentence pair; an array [N, 2], or what gives parts of one, is read
            where it lies (on disk, say).
        batch_tokens: the most tokens of a batch, padding included, counted on its longer side. A pair that is longer
            than this makes a batch of its own.
        shuffle: False takes all pairs in order of length, the same batches in each epoch.
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
        lengths: Sequence[tuple[int, int]] | np.ndarray | StoredLengths,
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
        in_parts = isinstance(lengths, (np.ndarray, StoredLengths))
        self._lengths: Any = lengths if in_parts else np.array(lengths, np.int64).reshape(-1, 2)
        self._batch_tokens = batch_tokens * shards
        self._shards, self._shard = shards, shard
        self._shuffle = shuffle
        self._seed = seed
        self._skip = skip
        self._epoch = 0
        self._count: int | None = None
        self._pool = self._pool_size(pool_batches)

    def set_epoch(self, epoch: int) -> None:
        """Choose the shuffle of this epoch."""
        if epoch != self._epoch and self._shuffle:
            self._count = None
        self._epoch = epoch

    def __len__(self) -> int:
        if self._count is None:
            self._count = sum(len(self._cut(pool)[1]) for pool in self._pools())
        return self._count

    def __iter__(self) -> Iterator[list[int]]:
        # A generator, which skips when first asked for a batch: a loader with workers makes one that it never asks.
        skip, self._skip = self._skip, 0
        yield from islice(self._batches(), skip, None)

    def _batches(self) -> Iterator[list[int]]:
        generator = np.random.Generator(np.random.PCG64([self._seed % 2**64, self._epoch]))
        for pool in self._pools():
            pool, starts = self._cut(pool)
            ends = [*starts[1:], len(pool)]
            order = generator.permutation(len(starts)) if self._shuffle else range(len(starts))
            for batch in order:
                yield pool[starts[batch] + self._shard : ends[batch] : self._shards].tolist()

    def _pool_size(self, pool_batches: int) -> int:
        """Return how many pairs of mean length fill the batches of a pool."""
        count = len(self._lengths)
        if not self._shuffle or count == 0:
            return max(count, 1)
        mean = self._lengths[:: -(-count // _MEAN_OF)].max(axis=1).mean()
        return max(self._shards, int(pool_batches * self._batch_tokens / max(mean, 1.0)), 1)

    def _pools(self) -> Iterator[np.ndarray]:
        """Yield the indices of each pool; the last one may have more, since each needs one for every shard."""
        count = len(self._lengths)
        if not self._shuffle:
            yield np.arange(count)
            return
        order = Permutation(count, self._seed * 1_000_003 + self._epoch)
        start = 0
        while start < count:
            stop = start + self._pool
            if count - stop < self._shards:
                stop = count
            yield order(start, stop)
            start = stop

    def _cut(self, pool: np.ndarray) -> tuple[np.ndarray, list[int]]:
        """Sort a pool by length, and return it with the places where a batch that keeps the budget begins."""
        lengths = self._lengths[pool]
        longest = lengths.max(axis=1).astype(np.int64)
        order = np.lexsort((pool, lengths[:, 1], lengths[:, 0], longest))
        pool, longest = pool[order], longest[order]
        starts = []
        start, count = 0, len(pool)
        while start < count:
            starts.append(start)
            # No more pairs than this can fit, since those that follow are at least as long.
            most = max(self._batch_tokens // max(int(longest[start]), 1), 1)
            padded = longest[start : start + most] * np.arange(1, len(longest[start : start + most]) + 1)
            start += max(int(np.searchsorted(padded, self._batch_tokens, side="right")), self._shards)
        if len(starts) > 1 and count - starts[-1] < self._shards:
            starts.pop()
        return pool, starts
