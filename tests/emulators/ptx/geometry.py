"""Lanes: the threads of the blocks that run together, one after another in memory, warps padded to 32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.emulators.ptx.formats import Array

WARP = 32
EVERY_LANE = slice(None)
Index = slice | Array


@dataclass(frozen=True)
class Lanes:
    """Lanes that execute together, all of them (a slice) or sorted indices; how many threads and warps these are."""

    index: Index
    threads: int
    warps: int


class Geometry:
    """`count` blocks of `block` threads side by side. Lane = block position * lanes_per_block + linear thread index."""

    def __init__(self, block: tuple[int, int, int], count: int) -> None:
        self.block = block
        self.count = count
        self.threads_per_block = block[0] * block[1] * block[2]
        self.warps_per_block = -(-self.threads_per_block // WARP)
        self.lanes_per_block = self.warps_per_block * WARP
        self.lanes = count * self.lanes_per_block
        lane = np.arange(self.lanes)
        self.block_position = lane // self.lanes_per_block
        self.thread = lane % self.lanes_per_block
        self.warp = lane // WARP
        self.exists = self.thread < self.threads_per_block

    def select(self, index: Array) -> Lanes:
        """The lanes of a sorted index array."""
        if index.size == self.lanes:
            return Lanes(EVERY_LANE, self.lanes, self.lanes // WARP)
        warps = index >> 5
        return Lanes(index, index.size, 1 + int(np.count_nonzero(warps[1:] != warps[:-1])) if index.size else 0)

    def blocks(self, count: int) -> Lanes:
        """The threads of the first `count` blocks."""
        return self.select(np.flatnonzero(self.exists & (self.block_position < count)))

    def where(self, lanes: Lanes, chosen: Array) -> Lanes:
        """Those of the lanes for which `chosen` (one flag a lane of `lanes`) holds."""
        if isinstance(lanes.index, slice):
            warps = int(np.count_nonzero(chosen.reshape(-1, WARP).any(axis=1)))
            index = np.flatnonzero(chosen)
            return lanes if index.size == self.lanes else Lanes(index, index.size, warps)
        return self.select(lanes.index[chosen])

    def join(self, parts: list[Lanes]) -> Lanes:
        """The union of disjoint lanes."""
        if len(parts) == 1:
            return parts[0]
        return self.select(np.sort(np.concatenate([part.index for part in parts])))

    def describe(self, lane: int) -> str:
        """A thread's coordinates for messages."""
        x, y, _ = self.block
        thread = int(self.thread[lane])
        return f"thread ({thread % x}, {thread // x % y}, {thread // (x * y)})"


def as_array(index: Index, lanes: int) -> Array:
    """The index as integers, whatever its form."""
    return np.arange(lanes) if isinstance(index, slice) else index
