"""State spaces: shared, local and parameter memory, and the generic window onto all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.emulators.ptx.banks import Banks
from tests.emulators.ptx.conflicts import Conflicts
from tests.emulators.ptx.errors import MemoryFault, SharedMemoryRace
from tests.emulators.ptx.formats import Array
from tests.emulators.ptx.geometry import Geometry, Index, as_array
from tests.emulators.ptx.global_memory import GlobalMemory
from tests.emulators.ptx.registers import POISON
from tests.emulators.ptx.syntax import Instruction

SHARED_WINDOW = 1 << 56
LOCAL_WINDOW = 1 << 57


class PartitionedMemory:
    """Memory of which every block (shared) or every thread (local) has `size` bytes of its own, poisoned when fresh."""

    def __init__(self, name: str, size: int, owner_of_lane: Array, owners: int) -> None:
        self.name = name
        self.size = size
        self.stride = -(-size // 16) * 16
        self._base = owner_of_lane * self.stride
        self._bytes = np.empty(owners * self.stride, np.uint8)

    def poison(self) -> None:
        self._bytes.view(np.uint16)[:] = POISON

    def fill(self, data: bytes) -> None:
        """Set the first owner's bytes."""
        self._bytes[: len(data)] = np.frombuffer(data, np.uint8)

    def _offsets(self, addresses: Array, size: int, index: Index, instruction: Instruction) -> Array:
        if addresses.size == 0:
            return addresses
        low, high = int(addresses.min()), int(addresses.max())
        if low < 0 or high + size > self.size:
            bad = low if low < 0 else high
            raise MemoryFault(
                f"{size} bytes at {self.name} address {bad:#x} lie outside the {self.size} bytes of {self.name} "
                f"memory, {instruction.where}"
            )
        if int(np.bitwise_or.reduce(addresses)) & (size - 1):
            bad = int(addresses[addresses & (size - 1) != 0][0])
            raise MemoryFault(f"misaligned {size}-byte access at {self.name} address {bad:#x}, {instruction.where}")
        return addresses + self._base[index]

    def load(self, addresses: Array, kind: np.dtype, count: int, index: Index, instruction: Instruction) -> Array:
        """`[n, count]` values at `n` addresses."""
        size = kind.itemsize * count
        offsets = self._offsets(addresses, size, index, instruction)
        return self._bytes.view(kind).reshape(-1, count)[offsets // size]

    def store(self, addresses: Array, values: Array, index: Index, instruction: Instruction) -> None:
        """Store `[n, count]` values at `n` addresses."""
        size = values.dtype.itemsize * values.shape[1]
        offsets = self._offsets(addresses, size, index, instruction)
        self._bytes.view(values.dtype).reshape(-1, values.shape[1])[offsets // size] = values

    def cell(self, address: Array, size: int, index: Index, instruction: Instruction) -> Array:
        """The bytes at one address, to read and change in place."""
        offset = int(self._offsets(address, size, index, instruction)[0])
        return self._bytes[offset : offset + size]


class SharedMemory(PartitionedMemory):
    """Shared memory that reports accesses of different warps with no barrier between them."""

    def __init__(self, size: int, geometry: Geometry, granule: int, check: bool, count_banks: bool) -> None:
        self.banks = Banks() if count_banks else None
        super().__init__("shared", size, geometry.block_position, geometry.count)
        self._geometry = geometry
        self._conflicts = Conflicts(self._bytes.size, granule) if check else None
        self._epochs = np.ones(geometry.count, np.int64)

    def poison(self) -> None:
        super().poison()
        if self._conflicts:
            self._conflicts.clear()

    def barrier(self, blocks: Index) -> None:
        """What the given blocks did before is ordered before what they do next."""
        self._epochs[blocks] += 1

    def _agents(self, index: Index) -> tuple[Array, Array]:
        return self._geometry.warp[index], self._epochs[self._geometry.block_position[index]]

    def load(self, addresses: Array, kind: np.dtype, count: int, index: Index, instruction: Instruction) -> Array:
        size = kind.itemsize * count
        offsets = self._offsets(addresses, size, index, instruction)
        if self.banks and offsets.size:
            self.banks.load(offsets, size, as_array(index, self._geometry.lanes))
        if self._conflicts:
            bad = self._conflicts.read(offsets, size, *self._agents(index))
            if bad is not None:
                self._report("reads what another warp wrote", addresses, bad, index, instruction)
        return self._bytes.view(kind).reshape(-1, count)[offsets // size]

    def store(self, addresses: Array, values: Array, index: Index, instruction: Instruction) -> None:
        count = values.shape[1]
        size = values.dtype.itemsize * count
        offsets = self._offsets(addresses, size, index, instruction)
        cells = self._bytes.view(f"u{values.dtype.itemsize}").reshape(-1, count)
        rows = offsets // size
        bits = np.ascontiguousarray(values).view(cells.dtype)
        if self._conflicts:
            changes = (cells[rows] != bits).any(axis=1)
            bad = self._conflicts.write(offsets, size, *self._agents(index), changes)
            if bad is not None:
                self._report("overwrites what another warp uses", addresses, bad, index, instruction)
        cells[rows] = bits
        if self._conflicts:
            lost = (cells[rows] != bits).any(axis=1)
            if lost.any():
                self._report("stores another value than a second thread does", addresses, lost, index, instruction)

    def _report(self, what: str, addresses: Array, bad: Array, index: Index, instruction: Instruction) -> None:
        first = int(np.flatnonzero(bad)[0])
        lane = int(as_array(index, self._geometry.lanes)[first])
        raise SharedMemoryRace(
            f"{self._geometry.describe(lane)} {what} at shared address {int(addresses[first]):#x} with no barrier "
            f"between, {instruction.where}"
        )


@dataclass
class Memories:
    """The state spaces of a launch."""

    global_: GlobalMemory
    shared: SharedMemory
    local: PartitionedMemory
    parameters: PartitionedMemory

    def space(self, instruction: Instruction) -> PartitionedMemory | GlobalMemory | GenericMemory:
        """The space that an instruction names; the generic one where it names none."""
        for part in instruction.parts[1:]:
            name = part.split("::")[0]
            if name in ("global", "const"):
                return self.global_
            if name == "shared":
                return self.shared
            if name == "local":
                return self.local
            if name == "param":
                return self.parameters
        return GenericMemory(self)


class GenericMemory:
    """Generic addresses: windows for shared and local memory, everything else is global."""

    def __init__(self, memories: Memories) -> None:
        self._memories = memories

    def _parts(self, addresses: Array) -> list[tuple[PartitionedMemory | GlobalMemory, int, Array]]:
        shared = (addresses >= SHARED_WINDOW) & (addresses < LOCAL_WINDOW)
        local = addresses >= LOCAL_WINDOW
        parts = (
            (self._memories.shared, SHARED_WINDOW, shared),
            (self._memories.local, LOCAL_WINDOW, local),
            (self._memories.global_, 0, ~(shared | local)),
        )
        return [part for part in parts if part[2].any()]

    def load(self, addresses: Array, kind: np.dtype, count: int, index: Index, instruction: Instruction) -> Array:
        result = np.empty((addresses.size, count), kind)
        lanes = as_array(index, addresses.size)
        for memory, window, chosen in self._parts(addresses):
            result[chosen] = memory.load(addresses[chosen] - window, kind, count, lanes[chosen], instruction)
        return result

    def store(self, addresses: Array, values: Array, index: Index, instruction: Instruction) -> None:
        lanes = as_array(index, addresses.size)
        for memory, window, chosen in self._parts(addresses):
            memory.store(addresses[chosen] - window, values[chosen], lanes[chosen], instruction)

    def cell(self, address: Array, size: int, index: Index, instruction: Instruction) -> Array:
        ((memory, window, _),) = self._parts(address)
        return memory.cell(address - window, size, index, instruction)
