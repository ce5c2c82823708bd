"""Shuffled orders that are computed, not stored."""

from __future__ import annotations

import numpy as np

_ROUNDS = 6


class Permutation:
    """A shuffled order of 0 to ``size - 1`` of which any part can be had without the rest.

    A Feistel network (Luby and Rackoff 1988) maps the numbers of 2k bits one to one; what falls outside the range is
    mapped again until it falls inside. So no memory grows with ``size``.

    Args:
        size: how many numbers.
        seed: chooses the order; any integer.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._half = np.uint64(max(1, ((max(size, 2) - 1).bit_length() + 1) // 2))
        self._low = (np.uint64(1) << self._half) - np.uint64(1)
        generator = np.random.Generator(np.random.PCG64(seed % 2**64))
        self._keys = generator.integers(2**63, size=_ROUNDS, dtype=np.uint64)

    def __call__(self, start: int, stop: int) -> np.ndarray:
        """Return the numbers at places ``start`` to ``stop - 1`` of the order, int64 [stop - start]."""
        numbers = self._mapped(np.arange(start, stop, dtype=np.uint64))
        outside = np.flatnonzero(numbers >= self._size)
        while len(outside):
            again = self._mapped(numbers[outside])
            numbers[outside] = again
            outside = outside[again >= self._size]
        return numbers.astype(np.int64)

    def _mapped(self, numbers: np.ndarray) -> np.ndarray:
        left, right = numbers >> self._half, numbers & self._low
        for key in self._keys:
            left, right = right, left ^ (_mixed(right + key) & self._low)
        return (left << self._half) | right


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """The output function of SplitMix64 (Steele, Lea, Flood 2014), modulo 2^64."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
