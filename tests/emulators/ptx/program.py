"""A kernel's basic blocks, bound to arrays: straight steps, then a jump, an exit or a meeting of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from tests.emulators.ptx.binding import Binding, Step
from tests.emulators.ptx.errors import UnsupportedInstruction
from tests.emulators.ptx.formats import Array
from tests.emulators.ptx.geometry import Index, Lanes
from tests.emulators.ptx.instructions import lookup
from tests.emulators.ptx.syntax import Immediate, Instruction, Kernel, Operand, Register, Symbol, Vector

_JUMPS = ("bra", "brx", "ret", "exit", "trap")
# Instructions that threads execute together; each is a basic block of its own.
_WARP_WIDE = ("shfl", "vote", "redux", "mma", "ldmatrix", "activemask")


@dataclass
class Tally:
    """How often something was executed: by threads and by warps."""

    threads: int = 0
    warps: int = 0

    def add(self, lanes: Lanes) -> None:
        self.threads += lanes.threads
        self.warps += lanes.warps


@dataclass
class Meeting:
    """A place where threads wait for others: a barrier of the block, or a warp-wide instruction.

    `members` is each lane's mask of the warp's lanes that take part (None: every lane of the warp), `barrier` each
    lane's barrier number, `expected` the number of threads that a barrier waits for (None: every thread of the block).
    """

    step: Step
    members: Array | None = None
    barrier: Array | None = None
    expected: Array | None = None
    needs_others: bool = True


@dataclass
class Block:
    """Steps, and how the block ends. `targets` are block numbers; with `choose` a jump table's index."""

    steps: list[Step] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    jump: Instruction | None = None
    condition: Callable[[Index], Array] | None = None
    targets: tuple[int, ...] = ()
    choose: Array | None = None
    meeting: Meeting | None = None
    tally: Tally = field(default_factory=Tally)


class Program:
    """The blocks of a kernel, and the counts of instructions that a predicate governs.

    `active` holds the lanes that run: the machine sets it before the steps of a block.
    """

    active: Lanes

    def __init__(self, kernel: Kernel, binding: Binding) -> None:
        self._binding = binding
        self.kernel = kernel
        self.predicated: list[tuple[Instruction, Tally]] = []
        starts = self._starts()
        self._number_of = {start: number for number, start in enumerate(starts)}
        self.blocks = [
            self._block(start, end) for start, end in zip(starts, [*starts[1:], len(kernel.instructions)], strict=True)
        ]
        self.end = len(self.blocks)

    def _starts(self) -> list[int]:
        starts = {0, *self.kernel.labels.values()}
        for number, ins in enumerate(self.kernel.instructions):
            if ins.kind in _JUMPS:
                starts.add(number + 1)
            elif _is_meeting(ins):
                starts |= {number, number + 1}
        return sorted(start for start in starts if start < len(self.kernel.instructions))

    def _target(self, name: str) -> int:
        position = self.kernel.labels[name]
        return self._number_of.get(position, len(self._number_of))

    def _block(self, start: int, end: int) -> Block:
        block = Block()
        for ins in self.kernel.instructions[start:end]:
            self._binding.instruction = ins
            try:
                if ins.kind in _JUMPS:
                    self._end(block, ins)
                elif _is_meeting(ins):
                    block.instructions.append(ins)
                    block.meeting = self._meeting(ins)
                    block.condition = self._condition(ins)
                else:
                    block.steps.append(self._step(block, ins))
            except UnsupportedInstruction as error:
                if ins.text in str(error):
                    raise
                raise UnsupportedInstruction(f"{error}, {ins.where}") from error
        return block

    def _condition(self, ins: Instruction) -> Callable[[Index], Array] | None:
        if ins.predicate is None:
            return None
        flags = self._binding.registers.read(ins.predicate, "pred")
        return (lambda index: ~flags[index]) if ins.negated else (lambda index: flags[index])

    def _step(self, block: Block, ins: Instruction) -> Step:
        step = lookup(self._binding, ins)
        condition = self._condition(ins)
        if condition is None:
            block.instructions.append(ins)
            return step
        tally = Tally()
        self.predicated.append((ins, tally))
        where = self._binding.geometry.where

        def guarded(index: Index) -> None:
            chosen = condition(index)
            count = int(np.count_nonzero(chosen))
            lanes = self.active
            if count == lanes.threads:
                tally.add(lanes)
                step(index)
            elif count:
                some = where(lanes, chosen)
                tally.add(some)
                step(some.index)

        return guarded

    def _end(self, block: Block, ins: Instruction) -> None:
        block.jump = ins
        block.instructions.append(ins)
        block.condition = self._condition(ins)
        if ins.kind == "bra":
            (label,) = ins.operands
            if not isinstance(label, Symbol):
                raise self._binding.unsupported("target")
            block.targets = (self._target(label.name),)
        elif ins.kind == "brx":
            index, table = ins.operands
            if not isinstance(table, Symbol) or ins.predicate:
                raise self._binding.unsupported("target")
            block.choose = self._binding.read(index, "u32")
            block.targets = tuple(self._target(name) for name in self.kernel.branch_targets[table.name])

    def _meeting(self, ins: Instruction) -> Meeting:
        binding = self._binding
        step = lookup(binding, ins)
        if ins.kind in ("bar", "barrier"):
            if ins.has("arrive", "cluster"):
                raise binding.unsupported()
            operands = ins.operands[1:-1] if ins.has("red") else ins.operands
            number = binding.read(operands[0], "u32") if operands else binding.read(Immediate(0), "u32")
            expected = binding.read(operands[1], "u32") if len(operands) > 1 else None
            return Meeting(step, barrier=number, expected=expected)
        if ins.kind == "activemask":
            return Meeting(step, needs_others=False)
        members = None
        if ins.kind in ("shfl", "vote", "redux"):
            if not ins.has("sync"):
                raise binding.unsupported("without .sync")
            members = binding.read(ins.operands[-1], "b32")
        return Meeting(step, members=members)


def _is_meeting(ins: Instruction) -> bool:
    return ins.kind in _WARP_WIDE or (ins.kind in ("bar", "barrier") and not ins.has("warp"))


def registers_of(kernel: Kernel) -> list[Register]:
    """Every register that the kernel's instructions name."""
    found: dict[str, Register] = {}

    def visit(operands: Iterable[object]) -> None:
        for operand in operands:
            if isinstance(operand, Register):
                found[operand.name] = operand
            elif isinstance(operand, Vector):
                visit(operand.items)
            elif operand is not None:
                visit(getattr(operand, name, None) for name in ("base", "first", "second", "register"))

    for ins in kernel.instructions:
        visit(_operands(ins))
    return list(found.values())


def _operands(ins: Instruction) -> Iterable[Operand | None]:
    return (*ins.operands, ins.predicate)
