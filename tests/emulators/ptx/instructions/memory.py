"""Loads, stores and asynchronous copies."""

from __future__ import annotations

import numpy as np

from tests.emulators.ptx.binding import Binding, Step
from tests.emulators.ptx.formats import STORAGE
from tests.emulators.ptx.geometry import Index
from tests.emulators.ptx.instructions.table import instruction
from tests.emulators.ptx.syntax import Immediate, Instruction, Sink

_SPACES = "global shared shared::cta local const"
# Everything is in order here, so memory models and cache hints mean nothing.
_HINTS = "volatile relaxed acquire release weak cta gpu sys nc ca cg cs lu cv wb wt L1::* L2::*"


@instruction("ld", "ldu", modifiers=f"{_SPACES} param {_HINTS} v2 v4 v8")
def load(binding: Binding, ins: Instruction) -> Step:
    kind = ins.type
    items = binding.items(ins.operands[0])
    targets = [(n, binding.write(item, kind)) for n, item in enumerate(items) if not isinstance(item, Sink)]
    address = binding.address(ins.operands[1])
    memory = binding.memories.space(ins)
    storage = STORAGE[kind]

    def step(index: Index) -> None:
        values = memory.load(address(index), storage, len(items), index, ins)
        for number, target in targets:
            target[index] = values[:, number]

    return step


@instruction("st", modifiers=f"{_SPACES} {_HINTS} v2 v4 v8")
def store(binding: Binding, ins: Instruction) -> Step:
    kind = ins.type
    address = binding.address(ins.operands[0])
    sources = [binding.read(item, kind) for item in binding.items(ins.operands[1])]
    memory = binding.memories.space(ins)

    def step(index: Index) -> None:
        values = np.stack([source[index] for source in sources], axis=1)
        memory.store(address(index), values, index, ins)

    return step


@instruction("cp", modifiers=f"async commit_group wait_group wait_all {_SPACES} {_HINTS}", types=(0,))
def asynchronous_copy(binding: Binding, ins: Instruction) -> Step:
    copies = binding.copies
    if ins.has("commit_group"):
        return copies.commit
    if ins.has("wait_all"):
        return lambda index: copies.wait(index, None)
    if ins.has("wait_group"):
        (remaining,) = ins.operands
        count = remaining.bits if isinstance(remaining, Immediate) else None
        return lambda index: copies.wait(index, count)
    destination, source = binding.address(ins.operands[0]), binding.address(ins.operands[1])
    (size,) = (operand.bits for operand in ins.operands[2:3] if isinstance(operand, Immediate))
    optional = ins.operands[3 : len(ins.operands) - ins.has("L2::cache_hint")]
    source_size = binding.read(optional[0] if optional else ins.operands[2], "u32")

    def step(index: Index) -> None:
        copies.issue(index, destination(index), source(index), size or 0, source_size[index], ins)

    return step
