"""Integer arithmetic: wrapping, wide and high products, C division."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.emulators.ptx.binding import Binding, Step
from tests.emulators.ptx.formats import STORAGE, Array
from tests.emulators.ptx.instructions.table import apply, instruction
from tests.emulators.ptx.syntax import TYPE_BITS, Instruction


def _divide(a: Array, b: Array) -> Array:
    """Toward zero, as C does. Division by zero is undefined in PTX; all ones, as hardware gives."""
    zero = b == 0
    safe = np.where(zero, 1, b).astype(a.dtype)
    quotient = (a - np.fmod(a, safe)) // safe
    return np.where(zero, np.array(-1).astype(a.dtype), quotient)


def _remainder(a: Array, b: Array) -> Array:
    zero = b == 0
    return np.where(zero, a, np.fmod(a, np.where(zero, 1, b).astype(a.dtype)))


def _high_product(kind: str) -> Callable[[Array, Array], Array]:
    bits = TYPE_BITS[kind]
    if bits < 64:
        wide = STORAGE[f"{kind[0]}{2 * bits}"]
        return lambda a, b: ((a.astype(wide) * b.astype(wide)) >> bits).astype(a.dtype)

    def high64(a: Array, b: Array) -> Array:
        x, y = a.view(np.uint64), b.view(np.uint64)
        mask, half = np.uint64(0xFFFFFFFF), np.uint64(32)
        low, cross = (x & mask) * (y & mask), (x >> half) * (y & mask)
        middle = (x & mask) * (y >> half) + (cross & mask) + (low >> half)
        high = (x >> half) * (y >> half) + (cross >> half) + (middle >> half)
        if kind[0] == "s":
            high = high - np.where(a < 0, y, 0).astype(np.uint64) - np.where(b < 0, x, 0).astype(np.uint64)
        return high.view(a.dtype)

    return lambda a, b: high64(np.ascontiguousarray(a), np.ascontiguousarray(b))


def _saturating(kind: str, function: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    limits = np.iinfo(STORAGE[kind])
    return lambda a, b: np.clip(function(a.astype(np.int64), b.astype(np.int64)), limits.min, limits.max).astype(
        a.dtype
    )


_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "div": _divide,
    "rem": _remainder,
    "min": np.minimum,
    "max": np.maximum,
    "neg": np.negative,
    "abs": np.abs,
}


def integer(binding: Binding, ins: Instruction) -> Step:
    """The integer forms of opcodes that have floating-point forms too."""
    kind = ins.type
    if kind[0] not in "bsu" or len(ins.types) != 1:
        raise binding.unsupported("type")
    if ins.kind in ("mul", "mad"):
        if ins.has("sat"):
            raise binding.unsupported("saturation")
        return _product(binding, ins, kind)
    function = _FUNCTIONS[ins.kind]
    if ins.has("sat"):
        function = _saturating(kind, function)
    sources = [binding.read(operand, kind) for operand in ins.operands[1:]]
    return apply(function, binding.write(ins.operands[0], kind), *sources)


def _result_kind(ins: Instruction, kind: str) -> str:
    return f"{kind[0]}{2 * TYPE_BITS[kind]}" if ins.has("wide") else kind


def product_of(ins: Instruction, kind: str) -> Callable[[Array, Array], Array]:
    """The lower half of a product, its upper half with `.hi`, all of it with `.wide`."""
    if ins.has("wide"):
        storage = STORAGE[_result_kind(ins, kind)]
        return lambda a, b: a.astype(storage) * b.astype(storage)
    return _high_product(kind) if ins.has("hi") else np.multiply


def _product(binding: Binding, ins: Instruction, kind: str) -> Step:
    result_kind = _result_kind(ins, kind)
    product = product_of(ins, kind)
    result = binding.write(ins.operands[0], result_kind)
    a, b = (binding.read(operand, kind) for operand in ins.operands[1:3])
    if ins.kind == "mul":
        return apply(product, result, a, b)
    return apply(lambda x, y, z: product(x, y) + z, result, a, b, binding.read(ins.operands[3], result_kind))


@instruction("rem")
def remainder(binding: Binding, ins: Instruction) -> Step:
    return integer(binding, ins)


@instruction("sad")
def sum_of_absolute_differences(binding: Binding, ins: Instruction) -> Step:
    def compute(a: Array, b: Array, c: Array) -> Array:
        return c + np.maximum(a, b) - np.minimum(a, b)

    return apply(
        compute, binding.write(ins.operands[0], ins.type), *(binding.read(o, ins.type) for o in ins.operands[1:])
    )
