"""Operands of a kernel's instructions as numpy arrays over the lanes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tests.emulators.ptx.errors import UnsupportedInstruction
from tests.emulators.ptx.formats import FLOATS, PACKED, STORAGE, Array
from tests.emulators.ptx.geometry import Geometry, Index
from tests.emulators.ptx.registers import RegisterFile
from tests.emulators.ptx.syntax import (
    TYPE_BITS,
    Address,
    Immediate,
    Instruction,
    Negated,
    Operand,
    Register,
    Sink,
    Special,
    Symbol,
    Vector,
)

if TYPE_CHECKING:
    from tests.emulators.ptx.async_copies import AsyncCopies
    from tests.emulators.ptx.memory import Memories

Step = Callable[[Index], None]


@dataclass
class Binding:
    """Everything that an instruction is bound to: registers, memories, predefined registers, values of symbols."""

    geometry: Geometry
    registers: RegisterFile
    memories: Memories
    copies: AsyncCopies
    special: dict[str, Array]
    symbols: dict[str, int]
    exact_approximations: bool = False
    instruction: Instruction = field(init=False)
    carry: Array = field(init=False)

    def __post_init__(self) -> None:
        self.carry = np.zeros(self.lanes, np.bool_)

    @property
    def lanes(self) -> int:
        return self.geometry.lanes

    def unsupported(self, why: str = "") -> UnsupportedInstruction:
        """The error that names the instruction being bound."""
        note = f" ({why})" if why else ""
        return UnsupportedInstruction(
            f"unsupported instruction {self.instruction.opcode}{note}, {self.instruction.where}"
        )

    def read(self, operand: Operand, kind: str) -> Array:
        """Values of an operand, `[lanes]` or `[lanes, 2]` for packed types, in the type's storage."""
        if isinstance(operand, Register):
            return self.registers.read(operand, kind)
        if isinstance(operand, Special):
            if operand.name not in self.special or TYPE_BITS[kind] != 32:
                raise self.unsupported(operand.name)
            return self.special[operand.name].view(STORAGE[kind])
        if isinstance(operand, Immediate):
            return self._constant(operand, kind)
        if isinstance(operand, Symbol):
            return self._constant(Immediate(self.symbol(operand)), kind)
        raise self.unsupported(f"operand {operand}")

    def write(self, operand: Operand, kind: str) -> Array:
        """An array whose assignment writes the operand."""
        if isinstance(operand, Register):
            return self.registers.write(operand, kind)
        if isinstance(operand, Sink):
            return np.empty((self.lanes, 2) if kind in PACKED else self.lanes, STORAGE[kind])
        raise self.unsupported(f"result {operand}")

    def predicate(self, operand: Operand) -> Callable[[Index], Array]:
        """A predicate operand, possibly negated."""
        if isinstance(operand, Negated):
            flags = self.registers.read(operand.register, "pred")
            return lambda index: ~flags[index]
        values = self.read(operand, "pred")
        return lambda index: values[index]

    def symbol(self, symbol: Symbol) -> int:
        if symbol.name not in self.symbols:
            raise self.unsupported(f"symbol {symbol.name}")
        return self.symbols[symbol.name] + symbol.offset

    def address(self, operand: Operand) -> Callable[[Index], Array]:
        """Byte addresses as int64."""
        if not isinstance(operand, Address):
            raise self.unsupported("address expected")
        offset = np.int64(operand.offset)
        if isinstance(operand.base, Register):
            # 32-bit addresses are those of shared memory, which are never negative.
            width = TYPE_BITS[operand.base.type]
            base = self.registers.read(operand.base, "s64" if width == 64 else "u32")
            if width == 64:
                return (lambda index: base[index] + offset) if operand.offset else (lambda index: base[index])
            return lambda index: base[index].astype(np.int64) + offset
        value = self.symbol(operand.base) if isinstance(operand.base, Symbol) else operand.base.bits
        fixed = np.broadcast_to(np.int64((value or 0) + operand.offset), self.lanes)
        return lambda index: fixed[index]

    def items(self, operand: Operand) -> tuple[Operand, ...]:
        """The elements of a vector operand, or the operand alone."""
        return operand.items if isinstance(operand, Vector) else (operand,)

    def _constant(self, immediate: Immediate, kind: str) -> Array:
        shape = (self.lanes, 2) if kind in PACKED else (self.lanes,)
        if kind == "pred":
            return np.broadcast_to(np.bool_(bool(immediate.bits)), shape)
        storage = STORAGE[kind]
        if immediate.bits is None or (kind in FLOATS and immediate.real is not None and TYPE_BITS[kind] == 64):
            if kind not in ("f16", "f32", "f64"):
                raise self.unsupported("a decimal fraction as an integer")
            return np.broadcast_to(np.array(immediate.real, storage), shape)
        width = TYPE_BITS[kind]
        bits = np.array([immediate.bits % (1 << width)], f"u{width // 8}")
        return np.broadcast_to(bits.view(storage), shape)
