"""cp.async: copies from global to shared memory that take place when their group is waited for.

Until then the destination holds poison, so a missing wait shows as NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.emulators.ptx.formats import Array
from tests.emulators.ptx.geometry import Geometry, Index, as_array
from tests.emulators.ptx.memory import Memories
from tests.emulators.ptx.registers import POISON
from tests.emulators.ptx.syntax import Instruction


@dataclass
class _Copy:
    lanes: Array
    groups: Array
    destination: Array
    source: Array
    source_size: Array
    size: int
    instruction: Instruction


class AsyncCopies:
    """Copies under way, in the order of their issue, and how many groups each lane has committed."""

    def __init__(self, geometry: Geometry, memories: Memories) -> None:
        self._geometry = geometry
        self._memories = memories
        self._committed = np.zeros(geometry.lanes, np.int64)
        self._copies: list[_Copy] = []

    def reset(self) -> None:
        self._committed[:] = 0
        self._copies.clear()

    def issue(
        self, index: Index, destination: Array, source: Array, size: int, source_size: Array, instruction: Instruction
    ) -> None:
        """Copy `source_size` of `size` bytes and fill the rest with zeros, later."""
        lanes = as_array(index, self._geometry.lanes)
        poison = np.full((destination.size, size // 2), POISON)
        self._memories.shared.store(destination, poison, index, instruction)
        groups = self._committed[lanes]
        self._copies.append(
            _Copy(lanes, groups, destination.copy(), source.copy(), source_size.copy(), size, instruction)
        )

    def commit(self, index: Index) -> None:
        self._committed[index] += 1

    def wait(self, index: Index, remaining: int | None) -> None:
        """Complete all but the lanes' `remaining` newest committed groups; with None, uncommitted copies too."""
        waiting = np.zeros(self._geometry.lanes, np.bool_)
        waiting[index] = True
        kept = []
        for copy in self._copies:
            done = waiting[copy.lanes]
            if remaining is not None:
                done &= copy.groups < self._committed[copy.lanes] - remaining
            if done.any():
                self._complete(copy, done)
            if not done.all():
                left = ~done
                kept.append(
                    _Copy(
                        copy.lanes[left],
                        copy.groups[left],
                        copy.destination[left],
                        copy.source[left],
                        copy.source_size[left],
                        copy.size,
                        copy.instruction,
                    )
                )
        self._copies = kept

    def _complete(self, copy: _Copy, done: Array) -> None:
        lanes, sources = copy.lanes[done], copy.source[done]
        values = np.zeros((lanes.size, copy.size), np.uint8)
        sizes = copy.source_size[done]
        byte = np.dtype(np.uint8)
        for size in np.unique(sizes):
            rows = np.flatnonzero(sizes == size)
            if size == copy.size:
                word = np.dtype(np.uint32)
                loaded = self._memories.global_.load(sources[rows], word, copy.size // 4, lanes[rows], copy.instruction)
                values[rows] = loaded.view(np.uint8)
            elif size:
                for position in range(int(size)):
                    loaded = self._memories.global_.load(
                        sources[rows] + position, byte, 1, lanes[rows], copy.instruction
                    )
                    values[rows, position] = loaded[:, 0]
        self._memories.shared.store(copy.destination[done], values.view(np.uint16), lanes, copy.instruction)
