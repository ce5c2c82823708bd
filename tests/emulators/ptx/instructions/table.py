"""The table of opcodes and the helpers that make a step from a function of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.emulators.ptx.binding import Binding, Step
from tests.emulators.ptx.formats import Array
from tests.emulators.ptx.geometry import Index
from tests.emulators.ptx.syntax import TYPE_BITS, Instruction

Binder = Callable[[Binding, Instruction], Step]


class _Entry(NamedTuple):
    binder: Binder
    modifiers: frozenset[str]
    type_counts: tuple[int, ...]


_TABLE: dict[str, _Entry] = {}
ROUNDING = "rn rz rm rp"
ANYTHING = "*"


def instruction(*kinds: str, modifiers: str = "", types: tuple[int, ...] = (1,)) -> Callable[[Binder], Binder]:
    """Register a function that binds an instruction's operands and returns its step.

    `modifiers` are the parts of an opcode, besides types, that the function heeds or may ignore; an opcode with any
    other is refused, so that no modifier passes unnoticed. `L1::*` stands for all that begin so. `types` are the
    allowed numbers of types in the opcode.
    """

    def register(binder: Binder) -> Binder:
        for kind in kinds:
            _TABLE[kind] = _Entry(binder, frozenset(modifiers.split()), types)
        return binder

    return register


def lookup(binding: Binding, ins: Instruction) -> Step:
    """The step of an instruction. Raises `UnsupportedInstruction` naming opcode and line."""
    binding.instruction = ins
    entry = _TABLE.get(ins.kind)
    if entry is None:
        raise binding.unsupported()
    if ANYTHING not in entry.modifiers:
        for part in ins.parts[1:]:
            family = part.split("::")[0] + "::*"
            if part not in TYPE_BITS and part not in entry.modifiers and family not in entry.modifiers:
                raise binding.unsupported(f"modifier .{part}")
        if len(ins.types) not in entry.type_counts:
            raise binding.unsupported("types")
    return entry.binder(binding, ins)


def supported() -> list[str]:
    """The opcodes in the table."""
    return sorted(_TABLE)


def apply(function: Callable[..., Array], result: Array, *sources: Array) -> Step:
    """`result = function(*sources)` for the lanes that execute."""
    if len(sources) == 1:
        (a,) = sources

        def one(index: Index) -> None:
            result[index] = function(a[index])

        return one
    if len(sources) == 2:
        a, b = sources

        def two(index: Index) -> None:
            result[index] = function(a[index], b[index])

        return two
    a, b, c = sources

    def three(index: Index) -> None:
        result[index] = function(a[index], b[index], c[index])

    return three


def no_operation(index: Index) -> None:
    """Hints, fences (execution is in order) and policies."""
