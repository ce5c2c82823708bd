"""Who touched which memory last: finds accesses that no barrier orders.

Every cell remembers its last writer and its reader as codes `epoch * SPAN + agent`. Agents are warps for shared
memory, where a barrier starts a new epoch of its block, and blocks for global memory, where a launch is one epoch. A
code at or above the current epoch's start, of another agent, is an access that nothing orders before the present one.
"""

from __future__ import annotations

import numpy as np

from tests.emulators.ptx.formats import Array

SPAN = 1 << 24
_SEVERAL = SPAN - 1


class Conflicts:
    """Cells of `granule` bytes (a power of two) over a memory of `size` bytes."""

    def __init__(self, size: int, granule: int) -> None:
        self._granule = granule
        self._shift = granule.bit_length() - 1
        self._writers = np.zeros(-(-size // granule), np.int64)
        self._readers = np.zeros_like(self._writers)

    def clear(self) -> None:
        self._writers[:] = 0
        self._readers[:] = 0

    def _cells(self, offsets: Array, size: int, epochs: Array, agents: Array) -> tuple[Array, Array, Array]:
        """Cells of each access, the first code of its epoch, its own code; with an axis for accesses of many cells."""
        cells = offsets >> self._shift
        start = epochs * SPAN
        mine = start + agents
        if size <= self._granule:
            return cells, start, mine
        return cells[:, None] + np.arange(size >> self._shift), start[:, None], mine[:, None]

    def read(self, offsets: Array, size: int, agents: Array, epochs: Array) -> Array | None:
        """Note reads of `size` bytes. Returns flags of those that race with a write of another agent, or None."""
        cells, start, mine = self._cells(offsets, size, epochs, agents)
        writers = self._writers[cells]
        bad = (writers >= start) & (writers != mine)
        several = start + _SEVERAL
        readers = self._readers[cells]
        marks = np.where((readers >= start) & (readers != mine), several, mine)
        self._readers[cells] = marks
        overwritten = self._readers[cells] != marks
        if overwritten.any():
            self._readers[cells[overwritten]] = np.broadcast_to(several, cells.shape)[overwritten]
        return _by_access(bad)

    def write(self, offsets: Array, size: int, agents: Array, epochs: Array, changes: Array) -> Array | None:
        """Note writes. `changes` flags those whose value differs from what is there: equal values do not race."""
        cells, start, mine = self._cells(offsets, size, epochs, agents)
        readers, writers = self._readers[cells], self._writers[cells]
        bad = ((readers >= start) & (readers != mine)) | ((writers >= start) & (writers != mine))
        self._writers[cells] = mine
        flags = _by_access(bad)
        if flags is None:
            return None
        flags &= changes
        return flags if flags.any() else None


def _by_access(bad: Array) -> Array | None:
    if not bad.any():
        return None
    return bad.any(axis=1) if bad.ndim == 2 else bad
