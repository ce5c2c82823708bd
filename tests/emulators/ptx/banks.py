"""What lanes of a warp that read the same bank of shared memory cost each other."""

from __future__ import annotations

import numpy as np

from tests.emulators.ptx.formats import Array

BANKS, WORD, WARP = 32, 4, 32


class Banks:
    """Rounds in which shared memory serves warps' loads: one word of each bank in each.

    Attributes:
        rounds: that all loads took. A load of 16 bytes goes a quarter of a warp at a time, one of 8 bytes a half.
        least: that they would have taken had no two lanes met in a bank.
    """

    def __init__(self) -> None:
        self.rounds = 0
        self.least = 0

    def load(self, offsets: Array, size: int, lanes: Array) -> None:
        """Loads of `size` bytes at these offsets by these lanes, all by the same instruction."""
        together = WARP * WORD // max(size, WORD)
        words = offsets[:, None] // WORD + np.arange(max(size // WORD, 1))
        groups = np.repeat(lanes // together, words.shape[1])
        pairs = np.unique(groups.astype(np.int64) << 40 | words.reshape(-1))
        group, bank = pairs >> 40, pairs % BANKS
        _, place = np.unique(group, return_inverse=True)
        meetings = np.zeros((place.max() + 1, BANKS), np.int64)
        np.add.at(meetings, (place, bank), 1)
        self.rounds += int(meetings.max(axis=1).sum())
        self.least += int((-(-meetings.sum(axis=1) // BANKS)).sum())
