"""Bytes that global accesses move."""

from __future__ import annotations

import numpy as np

from tests.emulators.ptx.formats import Array

SECTOR = 32


class Traffic:
    """32-byte sectors that the requests of warps touch, and the distinct bytes that a launch touches."""

    def __init__(self, size: int) -> None:
        self._loaded = np.zeros(size, np.bool_)
        self._stored = np.zeros(size, np.bool_)
        self.sectors_loaded = 0
        self.sectors_stored = 0

    @staticmethod
    def _sectors(offsets: Array, warps: Array) -> int:
        """Accesses are aligned and at most 32 bytes, so each touches one sector."""
        return int(np.unique((warps.astype(np.int64) << 40) | (offsets // SECTOR)).size)

    def load(self, offsets: Array, size: int, warps: Array) -> None:
        self.sectors_loaded += self._sectors(offsets, warps)
        self._loaded[offsets[:, None] + np.arange(size)] = True

    def store(self, offsets: Array, size: int, warps: Array) -> None:
        self.sectors_stored += self._sectors(offsets, warps)
        self._stored[offsets[:, None] + np.arange(size)] = True

    @property
    def bytes_loaded(self) -> int:
        """Distinct bytes loaded by the launch."""
        return int(np.count_nonzero(self._loaded))

    @property
    def bytes_stored(self) -> int:
        """Distinct bytes stored by the launch."""
        return int(np.count_nonzero(self._stored))
