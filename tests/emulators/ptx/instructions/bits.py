"""Logic, shifts and bit fields."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.emulators.ptx.binding import Binding, Step
from tests.emulators.ptx.formats import STORAGE, Array
from tests.emulators.ptx.instructions.table import apply, instruction
from tests.emulators.ptx.syntax import TYPE_BITS, Immediate, Instruction


def _sources(binding: Binding, ins: Instruction, *kinds: str) -> list[Array]:
    return [binding.read(operand, kind) for operand, kind in zip(ins.operands[1:], kinds, strict=True)]


@instruction("and", "or", "xor")
def logic(binding: Binding, ins: Instruction) -> Step:
    kind = ins.type
    function = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}[ins.kind]
    return apply(function, binding.write(ins.operands[0], kind), *_sources(binding, ins, kind, kind))


@instruction("not", "cnot")
def complement(binding: Binding, ins: Instruction) -> Step:
    function = np.invert if ins.kind == "not" else lambda a: (a == 0).astype(a.dtype)
    return apply(function, binding.write(ins.operands[0], ins.type), *_sources(binding, ins, ins.type))


@instruction("shl", "shr")
def shift(binding: Binding, ins: Instruction) -> Step:
    """Amounts beyond the width give zero, or the sign for signed right shifts."""
    kind = ins.type
    width = TYPE_BITS[kind]
    storage = STORAGE[kind]
    left = ins.kind == "shl"
    signed = kind[0] == "s"
    function = np.left_shift if left else np.right_shift
    amount = ins.operands[2]
    source, result = binding.read(ins.operands[1], kind), binding.write(ins.operands[0], kind)
    if isinstance(amount, Immediate) and 0 <= (amount.bits or 0) < width:
        fixed = np.array(amount.bits, storage)
        return apply(lambda a: function(a, fixed), result, source)

    def compute(a: Array, n: Array) -> Array:
        inside = function(a, np.minimum(n, width - 1).astype(storage))
        if signed and not left:
            return inside
        return np.where(n < width, inside, np.zeros_like(inside))

    return apply(compute, result, source, binding.read(amount, "u32"))


@instruction("shf", modifiers="l r clamp wrap")
def funnel_shift(binding: Binding, ins: Instruction) -> Step:
    """`shf.l`: the upper half of (b:a) << n; `shf.r`: the lower half of (b:a) >> n."""
    left, wrap = ins.has("l"), ins.has("wrap")

    def compute(a: Array, b: Array, n: Array) -> Array:
        amount = (n & np.uint32(31) if wrap else np.minimum(n, np.uint32(32))).astype(np.uint64)
        both = (b.astype(np.uint64) << np.uint64(32)) | a
        moved = (both << amount) >> np.uint64(32) if left else both >> amount
        return (moved & np.uint64(0xFFFFFFFF)).astype(np.uint32)

    return apply(compute, binding.write(ins.operands[0], "b32"), *_sources(binding, ins, "b32", "b32", "u32"))


@instruction("bfe")
def bit_field_extract(binding: Binding, ins: Instruction) -> Step:
    kind = ins.type
    width = TYPE_BITS[kind]
    unsigned = STORAGE[f"u{width}"]

    def compute(a: Array, position: Array, length: Array) -> Array:
        position, length = position & np.uint32(0xFF), length & np.uint32(0xFF)
        inside = np.minimum(position, width - 1).astype(unsigned)
        bits = np.ascontiguousarray(a).view(unsigned)
        field = np.where(position < width, bits >> inside, unsigned.type(0))
        mask = _mask(length, width, unsigned)
        field = field & mask
        if kind[0] == "s":
            last = np.minimum(position + length, np.uint32(width)).astype(np.int64) - 1
            sign = (bits >> np.maximum(last, 0).astype(unsigned)) & unsigned.type(1)
            # Bits of the field at or beyond the register's end repeat the sign.
            known = _mask(np.maximum(last + 1 - position.astype(np.int64), 0).astype(np.uint32), width, unsigned)
            field = np.where((sign == 1) & (length > 0), (field & known) | ~known, field & known)
        return field.astype(unsigned).view(a.dtype)

    return apply(compute, binding.write(ins.operands[0], kind), *_sources(binding, ins, kind, "u32", "u32"))


def _mask(length: Array, width: int, unsigned: np.dtype) -> Array:
    ones = unsigned.type((1 << width) - 1)
    partial = (unsigned.type(1) << np.minimum(length, width - 1).astype(unsigned)) - unsigned.type(1)
    return np.where(length >= width, ones, partial).astype(unsigned)


@instruction("bfi")
def bit_field_insert(binding: Binding, ins: Instruction) -> Step:
    kind = ins.type
    width = TYPE_BITS[kind]
    unsigned = STORAGE[f"u{width}"]
    field, base = _sources(binding, ins, kind, kind, "u32", "u32")[:2]
    position, length = (binding.read(operand, "u32") for operand in ins.operands[3:])
    result = binding.write(ins.operands[0], kind)

    def step(index: object) -> None:
        start, count = position[index] & np.uint32(0xFF), length[index] & np.uint32(0xFF)
        shift_by = np.minimum(start, width - 1).astype(unsigned)
        mask = np.where(start < width, _mask(count, width, unsigned) << shift_by, unsigned.type(0))
        result[index] = (base[index] & ~mask) | ((field[index] << shift_by) & mask)

    return step


@instruction("popc", "clz", "brev", "bfind", modifiers="shiftamt")
def count_bits(binding: Binding, ins: Instruction) -> Step:
    kind = ins.type
    width = TYPE_BITS[kind]

    def octets(a: Array) -> Array:
        """Bits, most significant first."""
        return np.unpackbits(np.ascontiguousarray(a).view(np.uint8).reshape(-1, width // 8)[:, ::-1], axis=1)

    def leading_zeros(a: Array) -> Array:
        bits = octets(a)
        return np.where(bits.any(axis=1), bits.argmax(axis=1), width).astype(np.uint32)

    def highest(a: Array) -> Array:
        magnitude = np.where(a < 0, ~a, a) if kind[0] == "s" else a
        zeros = leading_zeros(magnitude)
        place = zeros if ins.has("shiftamt") else width - 1 - zeros.astype(np.int64)
        return np.where(zeros == width, 0xFFFFFFFF, place).astype(np.uint32)

    def reversed_bits(a: Array) -> Array:
        packed = np.packbits(octets(a)[:, ::-1], axis=1)[:, ::-1]
        return np.ascontiguousarray(packed).view(f"u{width // 8}").reshape(-1)

    functions: dict[str, Callable[[Array], Array]] = {
        "popc": lambda a: octets(a).sum(axis=1).astype(np.uint32),
        "clz": leading_zeros,
        "bfind": highest,
        "brev": reversed_bits,
    }
    result = binding.write(ins.operands[0], kind if ins.kind == "brev" else "u32")
    return apply(functions[ins.kind], result, *_sources(binding, ins, kind))


@instruction("lop3")
def three_input_logic(binding: Binding, ins: Instruction) -> Step:
    table = ins.operands[4]
    if not isinstance(table, Immediate):
        raise binding.unsupported()
    a, b, c = (binding.read(operand, "b32") for operand in ins.operands[1:4])

    def compute(x: Array, y: Array, z: Array) -> Array:
        result = np.zeros_like(x)
        for entry in range(8):
            if (table.bits or 0) >> entry & 1:
                result |= (x if entry & 4 else ~x) & (y if entry & 2 else ~y) & (z if entry & 1 else ~z)
        return result

    return apply(compute, binding.write(ins.operands[0], "b32"), a, b, c)


@instruction("prmt")
def permute_bytes(binding: Binding, ins: Instruction) -> Step:
    """Every result byte is one of the 8 bytes of (b:a), or its sign repeated."""

    def compute(a: Array, b: Array, selector: Array) -> Array:
        octets = np.stack((a, b), axis=1).view(np.uint8)
        result = np.empty((a.size, 4), np.uint8)
        rows = np.arange(a.size)
        for position in range(4):
            choice = (selector >> np.uint32(4 * position)) & np.uint32(15)
            byte = octets[rows, choice & np.uint32(7)]
            result[:, position] = np.where(choice & np.uint32(8), (byte.view(np.int8) >> 7).view(np.uint8), byte)
        return result.view(np.uint32).reshape(-1)

    return apply(compute, binding.write(ins.operands[0], "b32"), *_sources(binding, ins, "b32", "b32", "b32"))
