"""Global memory: the caller's arrays at made-up addresses, with checked bounds."""

from __future__ import annotations

import bisect
import ctypes
from dataclasses import dataclass

import numpy as np

from tests.emulators.ptx.conflicts import Conflicts
from tests.emulators.ptx.errors import MemoryFault
from tests.emulators.ptx.formats import Array
from tests.emulators.ptx.geometry import Geometry, Index, as_array
from tests.emulators.ptx.syntax import Instruction
from tests.emulators.ptx.traffic import Traffic

BASE = 0x7E00_0000_0000
GUARD = 512
PAGE = 256


@dataclass
class Region:
    """`size` bytes of the host at `host`, in an allocation that begins at `origin`, seen by the kernel at `start`."""

    name: str
    host: int
    size: int
    writable: bool
    origin: int = 0
    start: int = 0

    @property
    def end(self) -> int:
        return self.start + self.size


class GlobalMemory:
    """Copies of the host's ranges, with unowned bytes between them, that a launch reads and writes.

    Ranges that overlap on the host share a region, so views of one tensor stay views. Allocations are aligned by 256
    bytes, as those of a GPU are; a view keeps its offset.
    """

    def __init__(self, ranges: list[Region], variables: dict[str, bytes]) -> None:
        self.regions = [Region("an empty array", 0, 0, False, start=BASE)]
        self.variables: dict[str, int] = {}
        self._constants: list[tuple[Region, bytes]] = []
        self._place(ranges, variables)
        self._bytes = np.full(self._next + PAGE - BASE, 0xFF, np.uint8)
        for region in self.regions:
            if region.host:
                ctypes.memmove(self._bytes.ctypes.data + region.start - BASE, region.host, region.size)
        for region, data in self._constants:
            self._bytes[region.start - BASE : region.end - BASE] = np.frombuffer(data, np.uint8)
        self._starts = [region.start for region in self.regions]
        self._ends = np.array([region.end for region in self.regions], np.int64)
        self._conflicts: Conflicts | None = None
        self.traffic: Traffic | None = None
        self._geometry: Geometry | None = None
        self._block: Array | None = None

    def _place(self, ranges: list[Region], variables: dict[str, bytes]) -> None:
        merged: list[Region] = []
        for item in sorted((item for item in ranges if item.size), key=lambda item: (item.host, item.size)):
            last = merged[-1] if merged else None
            if last and item.host < last.host + last.size:
                last.size = max(last.size, item.host + item.size - last.host)
                last.name += f" and {item.name}"
                last.writable &= item.writable
            else:
                merged.append(Region(item.name, item.host, item.size, item.writable, item.origin))
        self._next = BASE + PAGE
        for region in merged:
            self._append(region)
        for name, data in variables.items():
            region = Region(name, 0, len(data), True)
            self._append(region)
            self.variables[name] = region.start
            self._constants.append((region, data))

    def _append(self, region: Region) -> None:
        region.start = self._next + (region.host - region.origin) % PAGE
        self._next = -(-(region.end + GUARD) // PAGE) * PAGE
        self.regions.append(region)

    def address_of(self, host: int, size: int) -> int:
        """Where the kernel finds a host range; an empty one gets the address of nothing."""
        for region in self.regions:
            if size and region.host and region.host <= host and host + size <= region.host + region.size:
                return region.start + host - region.host
        return BASE

    def relocated(self, word: int) -> int:
        """Where the kernel finds a host address; any other number stays what it is."""
        for region in self.regions:
            if region.host <= word < region.host + region.size:
                return region.start + word - region.host
        return word

    def attach(self, geometry: Geometry, block: Array, granule: int, check: bool, traffic: bool) -> None:
        """Tell the lanes' geometry and which array holds the number of each lane's block."""
        self._geometry = geometry
        self._block = block
        self._conflicts = Conflicts(self._bytes.size, granule) if check else None
        self.traffic = Traffic(self._bytes.size) if traffic else None

    def copy_back(self) -> None:
        """Bring what the kernel wrote to the host's arrays."""
        for region in self.regions:
            if region.host and region.writable:
                ctypes.memmove(region.host, self._bytes.ctypes.data + region.start - BASE, region.size)

    def _offsets(self, addresses: Array, size: int, index: Index, instruction: Instruction, store: bool) -> Array:
        if addresses.size == 0:
            return addresses
        low, high = int(addresses.min()), int(addresses.max())
        number = bisect.bisect_right(self._starts, low) - 1
        if number < 0 or high + size > self.regions[number].end:
            self._check_each(addresses, size, index, instruction)
        if store and any(not region.writable for region in self._touched(low, high)):
            raise MemoryFault(f"store to read-only memory ({self.regions[number].name}), {instruction.where}")
        if int(np.bitwise_or.reduce(addresses)) & (size - 1):
            bad = int(np.flatnonzero(addresses & (size - 1))[0])
            self._fault(f"misaligned {size}-byte access", addresses, bad, index, instruction)
        return addresses - BASE

    def _touched(self, low: int, high: int) -> list[Region]:
        first = max(bisect.bisect_right(self._starts, low) - 1, 0)
        return self.regions[first : bisect.bisect_right(self._starts, high)]

    def _check_each(self, addresses: Array, size: int, index: Index, instruction: Instruction) -> None:
        numbers = np.searchsorted(np.array(self._starts), addresses, side="right") - 1
        bad = (numbers < 0) | (addresses + size > self._ends[numbers])
        if bad.any():
            self._fault(f"{size} bytes out of bounds", addresses, int(np.flatnonzero(bad)[0]), index, instruction)

    def _fault(self, what: str, addresses: Array, position: int, index: Index, instruction: Instruction) -> None:
        address = int(addresses[position])
        who = ""
        if self._geometry is not None and self._block is not None:
            lane = int(as_array(index, self._geometry.lanes)[position])
            who = f"block {int(self._block[lane])}, {self._geometry.describe(lane)}: "
        raise MemoryFault(f"{who}{what} at {address:#x}{self._nearest(address)}, {instruction.where}")

    def _nearest(self, address: int) -> str:
        number = bisect.bisect_right(self._starts, address) - 1
        around = self.regions[max(number, 0) : number + 2]
        region = min(around, key=lambda region: max(region.start - address, address - region.end))
        if address < region.start - GUARD or address > region.end + GUARD:
            return ", far from every allocation"
        if address < region.start:
            return f", {region.start - address} bytes before {region.name}"
        return f", byte {address - region.start} of {region.name} ({region.size} bytes)"

    def load(self, addresses: Array, kind: np.dtype, count: int, index: Index, instruction: Instruction) -> Array:
        """`[n, count]` values at `n` addresses."""
        size = kind.itemsize * count
        offsets = self._offsets(addresses, size, index, instruction, store=False)
        if self._conflicts:
            bad = self._conflicts.read(offsets, size, *self._agents(index))
            self._report("reads what another block wrote", bad, addresses, index, instruction)
        if self.traffic:
            self.traffic.load(offsets, size, self._warps(index))
        return self._bytes.view(kind).reshape(-1, count)[offsets // size]

    def store(self, addresses: Array, values: Array, index: Index, instruction: Instruction) -> None:
        """Store `[n, count]` values at `n` addresses."""
        count = values.shape[1]
        size = values.dtype.itemsize * count
        offsets = self._offsets(addresses, size, index, instruction, store=True)
        cells = self._bytes.view(f"u{values.dtype.itemsize}").reshape(-1, count)
        rows = offsets // size
        bits = np.ascontiguousarray(values).view(cells.dtype)
        if self._conflicts:
            changes = (cells[rows] != bits).any(axis=1)
            bad = self._conflicts.write(offsets, size, *self._agents(index), changes)
            self._report("overwrites what another block uses", bad, addresses, index, instruction)
        if self.traffic:
            self.traffic.store(offsets, size, self._warps(index))
        cells[rows] = bits
        if self._conflicts:
            lost = (cells[rows] != bits).any(axis=1)
            self._report("stores another value than a second thread does", lost, addresses, index, instruction)

    def cell(self, address: Array, size: int, index: Index, instruction: Instruction) -> Array:
        """The bytes at one address, to read and change in place."""
        offset = int(self._offsets(address, size, index, instruction, store=True)[0])
        return self._bytes[offset : offset + size]

    def _warps(self, index: Index) -> Array:
        assert self._geometry is not None
        return self._geometry.warp[index]

    def _agents(self, index: Index) -> tuple[Array, Array]:
        assert self._block is not None
        blocks = self._block[index].astype(np.int64)
        return blocks, np.ones_like(blocks)

    def _report(self, what: str, bad: Array | None, addresses: Array, index: Index, instruction: Instruction) -> None:
        if bad is not None and bad.any():
            self._fault(what, addresses, int(np.flatnonzero(bad)[0]), index, instruction)
