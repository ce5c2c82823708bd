"""Extended precision: add.cc, addc, sub.cc, subc, mad.cc and madc, through each lane's carry flag."""

from __future__ import annotations

import numpy as np

from tests.emulators.ptx.binding import Binding, Step
from tests.emulators.ptx.formats import STORAGE, Array
from tests.emulators.ptx.geometry import Index
from tests.emulators.ptx.instructions.integers import product_of
from tests.emulators.ptx.instructions.table import instruction
from tests.emulators.ptx.syntax import TYPE_BITS, Instruction


def with_carry(binding: Binding, ins: Instruction) -> Step:
    """`a + b + CF`, `a - b - CF` or `a * b + c + CF`; `.cc` sets the flag, a trailing `c` of the opcode reads it."""
    kind = ins.type
    unsigned = f"u{TYPE_BITS[kind]}"
    reads, sets = ins.kind in ("addc", "subc", "madc"), ins.has("cc")
    subtracts = ins.kind.startswith("sub")
    result = binding.write(ins.operands[0], unsigned)
    flag = binding.carry
    if ins.kind.startswith("mad"):
        product = product_of(ins, kind)
        a, b = (binding.read(operand, kind) for operand in ins.operands[1:3])
        addend = binding.read(ins.operands[3], unsigned)
    else:
        a = binding.read(ins.operands[1], unsigned)
        addend = binding.read(ins.operands[2], unsigned)
    one = STORAGE[unsigned].type(1)

    def step(index: Index) -> None:
        if ins.kind.startswith("mad"):
            left = np.ascontiguousarray(product(a[index], b[index])).view(STORAGE[unsigned])
        else:
            left = a[index]
        right = addend[index]
        incoming = np.where(flag[index] & reads, one, one - one)
        if subtracts:
            first = left - right
            total = first - incoming
            outgoing = _borrow(left, right, first, incoming)
        else:
            first = left + right
            total = first + incoming
            outgoing = (first < left) | (total < first)
        result[index] = total
        if sets:
            flag[index] = outgoing

    return step


def _borrow(left: Array, right: Array, first: Array, incoming: Array) -> Array:
    return (left < right) | (first < incoming)


@instruction("addc", "subc", "madc", modifiers="cc lo hi")
def extended(binding: Binding, ins: Instruction) -> Step:
    return with_carry(binding, ins)
