"""mov, with packing and unpacking of vectors."""

from __future__ import annotations

from tests.emulators.ptx.binding import Binding, Step
from tests.emulators.ptx.geometry import Index
from tests.emulators.ptx.instructions.table import ANYTHING, apply, instruction, no_operation
from tests.emulators.ptx.syntax import TYPE_BITS, Instruction, Sink, Vector


@instruction("mov")
def move(binding: Binding, ins: Instruction) -> Step:
    kind = ins.type
    target, source = ins.operands
    if isinstance(target, Vector):
        return _unpack(binding, target, source, kind)
    if isinstance(source, Vector):
        return _pack(binding, target, source, kind)
    return apply(lambda a: a, binding.write(target, kind), binding.read(source, kind))


def _unpack(binding: Binding, target: Vector, source: object, kind: str) -> Step:
    width = TYPE_BITS[kind]
    part = width // len(target.items)
    if part == 8:
        raise binding.unsupported("byte elements")
    values = binding.read(source, f"b{width}")
    pieces = [
        (binding.write(item, f"b{part}"), part * number)
        for number, item in enumerate(target.items)
        if not isinstance(item, Sink)
    ]
    mask = values.dtype.type((1 << part) - 1)

    def step(index: Index) -> None:
        whole = values[index]
        for result, low in pieces:
            result[index] = (whole >> values.dtype.type(low)) & mask

    return step


def _pack(binding: Binding, target: object, source: Vector, kind: str) -> Step:
    width = TYPE_BITS[kind]
    part = width // len(source.items)
    result = binding.write(target, f"b{width}")
    pieces = [(binding.read(item, f"b{part}"), part * number) for number, item in enumerate(source.items)]

    def step(index: Index) -> None:
        whole = pieces[0][0][index].astype(result.dtype)
        for values, low in pieces[1:]:
            whole = whole | (values[index].astype(result.dtype) << result.dtype.type(low))
        result[index] = whole

    return step


@instruction(
    "membar",
    "fence",
    "prefetch",
    "prefetchu",
    "discard",
    "applypriority",
    "griddepcontrol",
    "nanosleep",
    modifiers=ANYTHING,
)
def hint(binding: Binding, ins: Instruction) -> Step:
    return no_operation


@instruction("createpolicy", modifiers=ANYTHING)
def create_policy(binding: Binding, ins: Instruction) -> Step:
    """Cache policies mean nothing here; the register gets a value."""
    result = binding.write(ins.operands[0], "b64")

    def step(index: Index) -> None:
        result[index] = 0

    return step
