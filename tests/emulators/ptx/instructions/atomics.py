"""atom and red: one lane after another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.emulators.ptx.binding import Binding, Step
from tests.emulators.ptx.formats import FLOATS, PACKED, STORAGE, Array, narrow, widen
from tests.emulators.ptx.geometry import Index, as_array
from tests.emulators.ptx.instructions.table import instruction
from tests.emulators.ptx.syntax import TYPE_BITS, Instruction

_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "add": np.add,
    "min": np.minimum,
    "max": np.maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "exch": lambda old, new: new,
    "cas": lambda old, compare, new: np.where(old == compare, new, old),
    "inc": lambda old, limit: np.where(old >= limit, np.zeros_like(old), old + np.ones_like(old)),
    "dec": lambda old, limit: np.where((old == 0) | (old > limit), limit, old - np.ones_like(old)),
}


@instruction(
    "atom",
    "red",
    modifiers=f"global shared shared::cta relaxed acquire release acq_rel cta gpu sys noftz {' '.join(_FUNCTIONS)}",
)
def atomic(binding: Binding, ins: Instruction) -> Step:
    """Lanes act in order; the result of `atom` is what each found."""
    kind = ins.type
    name = ins.one_of(*_FUNCTIONS)
    if name is None:
        raise binding.unsupported()
    operands = ins.operands[1:] if ins.kind == "atom" else ins.operands
    address = binding.address(operands[0])
    sources = [binding.read(operand, kind) for operand in operands[1 : 3 if name == "cas" else 2]]
    result = binding.write(ins.operands[0], kind) if ins.kind == "atom" else None
    memory = binding.memories.space(ins)
    before, after = (widen(kind), narrow(kind)) if kind in FLOATS else (lambda a: a, lambda a: a)
    update = _FUNCTIONS[name]
    size = TYPE_BITS[kind] // 8

    def step(index: Index) -> None:
        lanes = as_array(index, binding.lanes)
        addresses = address(index)
        found = np.empty((lanes.size, 2 if kind in PACKED else 1), STORAGE[kind])
        for position, lane in enumerate(lanes):
            one = slice(position, position + 1)
            cell = memory.cell(addresses[one], size, lanes[one], ins).view(STORAGE[kind])
            found[position] = cell
            values = (before(source[lane : lane + 1].reshape(-1)) for source in sources)
            cell[:] = after(update(before(cell), *values))
        if result is not None:
            result[index] = found if kind in PACKED else found[:, 0]

    return step
