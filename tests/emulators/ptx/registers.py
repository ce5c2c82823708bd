"""The register file: one row a register, one column a lane, seen through any type of the right width."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tests.emulators.ptx.errors import UnsupportedInstruction
from tests.emulators.ptx.formats import PACKED, STORAGE, Array
from tests.emulators.ptx.syntax import TYPE_BITS, Register

POISON = np.uint16(0x7FFF)  # NaN in every floating format, an address far outside memory as an integer


class RegisterFile:
    """Registers of one batch of blocks. Fresh registers hold NaN patterns; predicates hold an arbitrary pattern."""

    def __init__(self, registers: Iterable[Register], lanes: int) -> None:
        self._lanes = lanes
        self._rows: dict[str, tuple[int, int]] = {}
        counts: dict[int, int] = {}
        for register in registers:
            bits = TYPE_BITS[register.type]
            if bits not in (1, 8, 16, 32, 64):
                raise UnsupportedInstruction(f"registers of type {register.type} ({register.name})")
            bits = max(bits, 16) if bits > 1 else bits
            if register.name not in self._rows:
                self._rows[register.name] = (bits, counts.get(bits, 0))
                counts[bits] = counts.get(bits, 0) + 1
        self._pools: dict[int, Array] = {
            bits: np.empty((count, lanes), np.bool_ if bits == 1 else f"u{bits // 8}") for bits, count in counts.items()
        }

    def poison(self) -> None:
        """Forget every value."""
        for bits, pool in self._pools.items():
            if bits == 1:
                pool[:] = np.arange(self._lanes) % 3 == 1
            else:
                pool.view(np.uint16)[:] = POISON

    def read(self, register: Register, kind: str) -> Array:
        """The register as a type no wider than itself; packed types get a last axis of 2."""
        bits, row = self._rows[register.name]
        values = self._pools[bits][row]
        if kind == "pred" or bits == 1:
            if kind != "pred" or bits != 1:
                raise UnsupportedInstruction(f"register {register.name} of type {register.type} used as {kind}")
            return values
        if kind in PACKED:
            if TYPE_BITS[kind] != bits:
                raise UnsupportedInstruction(f"register {register.name} of {bits} bits used as {kind}")
            return values.view(STORAGE[kind]).reshape(self._lanes, 2)
        width = TYPE_BITS[kind]
        if width > bits:
            raise UnsupportedInstruction(f"register {register.name} of {bits} bits used as {kind}")
        return values.view(STORAGE[kind])[:: bits // width]

    def write(self, register: Register, kind: str) -> Array:
        """An array whose assignment writes the register; narrower integers are extended by their sign or by zeros."""
        bits, _ = self._rows[register.name]
        if kind != "pred" and TYPE_BITS[kind] < bits and kind not in PACKED:
            if kind[0] not in "bsu":
                raise UnsupportedInstruction(f"register {register.name} of {bits} bits written as {kind}")
            return self.read(register, ("s" if kind[0] == "s" else "u") + str(bits))
        return self.read(register, kind)
