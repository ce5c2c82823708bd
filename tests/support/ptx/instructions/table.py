"""The table of opcodes and the helpers that make a step from a function of arrays."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.ptx.binding import Binding, Step
from tests.support.ptx.formats import Array
from tests.support.ptx.syntax import Instruction

Binder = Callable[[Binding, Instruction], Step]
_TABLE: dict[str, Binder] = {}


def instruction(*kinds: str) -> Callable[[Binder], Binder]:
    """Register a function that binds an instruction's operands and returns its step."""

    def register(binder: Binder) -> Binder:
        for kind in kinds:
            _TABLE[kind] = binder
        return binder

    return register


def lookup(binding: Binding, ins: Instruction) -> Step:
    """The step of an instruction. Raises `UnsupportedInstruction` naming opcode and line."""
    binding.instruction = ins
    if ins.kind not in _TABLE:
        raise binding.unsupported()
    return _TABLE[ins.kind](binding, ins)


def supported() -> list[str]:
    """The opcodes in the table."""
    return sorted(_TABLE)


def apply(function: Callable[..., Array], result: Array, *sources: Array) -> Step:
    """`result = function(*sources)` for the lanes that execute."""
    if len(sources) == 1:
        (a,) = sources

        def one(index: object) -> None:
            result[index] = function(a[index])

        return one
    if len(sources) == 2:
        a, b = sources

        def two(index: object) -> None:
            result[index] = function(a[index], b[index])

        return two
    a, b, c = sources

    def three(index: object) -> None:
        result[index] = function(a[index], b[index], c[index])

    return three


def no_operation(index: object) -> None:
    """Hints, fences (execution is in order) and policies."""
