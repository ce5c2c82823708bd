"""Runs the lanes of a batch of blocks through a program.

Lanes that are at the same place execute together. Of several places the first in the text runs first, which makes lanes
that diverged meet again where structured control flow meets. Lanes that wait (at a barrier, or at a warp-wide
instruction whose other lanes are elsewhere) are set aside until nothing else can run.
"""

from __future__ import annotations

import numpy as np

from tests.emulators.ptx.binding import Binding
from tests.emulators.ptx.errors import KernelTrap, SynchronizationError
from tests.emulators.ptx.formats import Array
from tests.emulators.ptx.geometry import WARP, Lanes, as_array
from tests.emulators.ptx.instructions.warp import ballot
from tests.emulators.ptx.program import Block, Meeting, Program

# Blocks that lanes may execute while others could run: loops that wait for another thread's store must yield to it.
PATIENCE = 2000


class Machine:
    """One program and its state. `run` executes a batch of blocks from poisoned registers and memory."""

    def __init__(self, program: Program, binding: Binding, limit: int) -> None:
        self._program = program
        self._binding = binding
        self._geometry = binding.geometry
        self._limit = limit
        self._ready: dict[int, list[Lanes]] = {}
        self._waiting: dict[int, list[Lanes]] = {}
        self._alive = np.zeros(binding.lanes, np.bool_)

    def run(self, blocks: int) -> None:
        """Execute the first `blocks` blocks of the geometry to their end."""
        binding = self._binding
        binding.registers.poison()
        binding.memories.shared.poison()
        binding.memories.local.poison()
        binding.copies.reset()
        everyone = self._geometry.blocks(blocks)
        self._alive[:] = False
        self._alive[everyone.index] = True
        self._ready = {0: [everyone]}
        while self._ready or self._waiting:
            if not self._ready:
                self._release(required=True)
            at = min(self._ready)
            self._advance(at, self._geometry.join(self._ready.pop(at)))

    def _advance(self, at: int, lanes: Lanes) -> None:
        """Run lanes until they end, wait, meet others or give way to lanes that are behind them."""
        program = self._program
        patience = PATIENCE
        while True:
            if at == program.end:
                self._alive[lanes.index] = False
                return
            block = program.blocks[at]
            self._limit -= 1
            if self._limit < 0:
                raise KernelTrap(f"the kernel did not end within the allowed steps, {block.instructions[0].where}")
            next_at = self._meet(at, block, lanes) if block.meeting else self._execute(at, block, lanes)
            if next_at is None:
                return
            at = next_at
            patience -= 1
            if self._ready and (at >= min(self._ready) or patience < 0):
                self._put(at, lanes)
                if patience < 0:
                    self._yield(at)
                return
            if patience < 0:
                self._release(required=False)
                patience = PATIENCE

    def _put(self, at: int, lanes: Lanes) -> None:
        if lanes.threads:
            self._ready.setdefault(at, []).append(lanes)

    def _yield(self, at: int) -> None:
        """Let the lanes that are elsewhere run until they end, wait, or have had their turn."""
        self._release(required=False)
        for other in sorted(place for place in self._ready if place != at):
            if other in self._ready:
                parts = self._ready.pop(other)
                self._turn(other, self._geometry.join(parts))

    def _turn(self, at: int, lanes: Lanes) -> None:
        """One turn of lanes that would otherwise starve: `PATIENCE` blocks, whatever else is ready."""
        for _ in range(PATIENCE):
            if at == self._program.end:
                self._alive[lanes.index] = False
                return
            block = self._program.blocks[at]
            next_at = self._meet(at, block, lanes) if block.meeting else self._execute(at, block, lanes)
            if next_at is None:
                return
            at = next_at
        self._put(at, lanes)

    def _execute(self, at: int, block: Block, lanes: Lanes) -> int | None:
        """Run a block's steps and its jump. The next block, or None where lanes went separate ways or ended."""
        block.tally.add(lanes)
        self._program.active = lanes
        index = lanes.index
        for step in block.steps:
            step(index)
        if block.jump is None:
            return at + 1
        if block.choose is not None:
            return self._choose(block, block.choose, lanes)
        if block.condition is not None:
            taken = block.condition(index)
            count = int(np.count_nonzero(taken))
            if count == 0:
                return at + 1
            if count < lanes.threads:
                leaving = self._geometry.where(lanes, taken)
                self._put(at + 1, self._geometry.where(lanes, ~taken))
                self._jump(block, leaving)
                return None
        return self._jump(block, lanes, together=True)

    def _jump(self, block: Block, lanes: Lanes, together: bool = False) -> int | None:
        assert block.jump is not None
        if block.jump.kind == "bra":
            if together:
                return block.targets[0]
            self._put(block.targets[0], lanes)
        elif block.jump.kind == "trap":
            lane = int(as_array(lanes.index, self._binding.lanes)[0])
            raise KernelTrap(f"{self._geometry.describe(lane)} executed trap, {block.jump.where}")
        else:
            self._alive[lanes.index] = False
        return None

    def _choose(self, block: Block, choose: Array, lanes: Lanes) -> int | None:
        entries = choose[lanes.index]
        for entry in np.unique(entries):
            self._put(block.targets[int(entry)], self._geometry.where(lanes, entries == entry))
        return None

    def _meet(self, at: int, block: Block, lanes: Lanes) -> int | None:
        """Execute a warp-wide instruction or a barrier if everyone is here; else wait."""
        meeting = block.meeting
        assert meeting is not None
        if block.condition is not None:
            taken = block.condition(lanes.index)
            if not taken.all():
                self._put(at + 1, self._geometry.where(lanes, ~taken))
                lanes = self._geometry.where(lanes, taken)
                if not lanes.threads:
                    return None
                self._wait(at, lanes)
                return None
        if self._complete(meeting, lanes):
            self._perform(block, meeting, lanes)
            return at + 1
        self._wait(at, lanes)
        return None

    def _wait(self, at: int, lanes: Lanes) -> None:
        self._waiting.setdefault(at, []).append(lanes)

    def _perform(self, block: Block, meeting: Meeting, lanes: Lanes) -> None:
        block.tally.add(lanes)
        self._program.active = lanes
        meeting.step(lanes.index)
        if meeting.barrier is not None:
            self._binding.memories.shared.barrier(np.unique(self._geometry.block_position[lanes.index]))

    def _complete(self, meeting: Meeting, lanes: Lanes) -> bool:
        """Whether the lanes at a meeting are all that it waits for, in every warp or block."""
        if not meeting.needs_others:
            return True
        if meeting.barrier is not None:
            return meeting.expected is None and lanes.threads == int(np.count_nonzero(self._alive))
        return isinstance(lanes.index, slice) or bool(self._whole_warps(meeting, lanes).all())

    def _whole_warps(self, meeting: Meeting, lanes: Lanes) -> Array:
        """For each lane, whether every living member of its warp's mask is among the lanes."""
        index = as_array(lanes.index, self._binding.lanes)
        here = np.zeros(self._binding.lanes, np.bool_)
        here[index] = True
        present, living = (ballot(flags.reshape(-1, WARP))[index // WARP] for flags in (here, self._alive))
        members = meeting.members[index] if meeting.members is not None else np.uint32(0xFFFFFFFF)
        return (members & living & ~present) == 0

    def _release(self, required: bool) -> None:
        """Let waiting lanes go on whose others have come. With `required`, that none can is an error."""
        released = False
        waiting, self._waiting = self._waiting, {}
        barriers: dict[int, Lanes] = {}
        for at, parts in waiting.items():
            lanes = self._geometry.join(parts)
            meeting = self._program.blocks[at].meeting
            assert meeting is not None
            if meeting.barrier is not None:
                barriers[at] = lanes
                continue
            whole = self._whole_warps(meeting, lanes)
            released |= self._go(at, lanes, whole)
        if barriers:
            released |= self._release_barriers(barriers)
        if required and not released:
            self._deadlock()

    def _go(self, at: int, lanes: Lanes, chosen: Array) -> bool:
        """Perform a meeting for the chosen lanes; the rest waits on."""
        if not chosen.all():
            self._wait(at, self._geometry.where(lanes, ~chosen))
        if not chosen.any():
            return False
        block = self._program.blocks[at]
        assert block.meeting is not None
        going = self._geometry.where(lanes, chosen)
        self._perform(block, block.meeting, going)
        self._put(at + 1, going)
        return True

    def _release_barriers(self, barriers: dict[int, Lanes]) -> bool:
        """A barrier (block, number) opens when as many threads wait at it as it expects."""
        geometry, count = self._geometry, self._geometry.count
        alive = np.bincount(geometry.block_position[self._alive], minlength=count)
        arrived: dict[int, Array] = {}
        keys: dict[int, tuple[Array, Array]] = {}
        for at, lanes in barriers.items():
            meeting = self._program.blocks[at].meeting
            assert meeting is not None and meeting.barrier is not None
            blocks, numbers = geometry.block_position[lanes.index], meeting.barrier[lanes.index]
            keys[at] = blocks, numbers
            for number in np.unique(numbers):
                here = np.bincount(blocks[numbers == number], minlength=count)
                arrived[int(number)] = arrived.get(int(number), np.zeros(count, np.int64)) + here
        released = False
        for at, lanes in barriers.items():
            meeting = self._program.blocks[at].meeting
            assert meeting is not None
            blocks, numbers = keys[at]
            total = np.array([arrived[int(n)][b] for n, b in zip(numbers, blocks, strict=True)])
            if meeting.expected is not None:
                complete = total == meeting.expected[lanes.index]
            else:
                complete = total == alive[blocks]
                here = np.bincount(blocks, minlength=count)[blocks]
                if (complete & (here != total)).any():
                    raise SynchronizationError(f"threads of a block wait at different barriers, {self._places()}")
            released |= self._go(at, lanes, complete)
        return released

    def _places(self) -> str:
        places = sorted(self._waiting)
        return "; ".join(self._program.blocks[at].instructions[0].where for at in places)

    def _deadlock(self) -> None:
        at = min(self._waiting)
        lanes = self._geometry.join(self._waiting[at])
        first = int(as_array(lanes.index, self._binding.lanes)[0])
        block = self._geometry.block_position[first]
        mine = int(np.count_nonzero(self._geometry.block_position[lanes.index] == block))
        living = int(np.count_nonzero(self._alive & (self._geometry.block_position == block)))
        raise SynchronizationError(
            f"{mine} of {living} living threads of a block wait forever for the others ({len(self._waiting)} places), "
            f"{self._program.blocks[at].instructions[0].where}"
        )
