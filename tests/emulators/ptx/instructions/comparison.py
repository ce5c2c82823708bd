"""setp, set, selp, slct."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.emulators.ptx.binding import Binding, Step
from tests.emulators.ptx.formats import FLOATS, PACKED, Array, flush_subnormals, widen
from tests.emulators.ptx.geometry import Index
from tests.emulators.ptx.instructions.table import apply, instruction
from tests.emulators.ptx.syntax import Instruction, Pair

_COMPARISONS: dict[str, Callable[[Array, Array], Array]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "lo": np.less,
    "ls": np.less_equal,
    "hi": np.greater,
    "hs": np.greater_equal,
}
_UNORDERED = {name + "u": name for name in ("eq", "ne", "lt", "le", "gt", "ge")}
_NAMES = " ".join([*_COMPARISONS, *_UNORDERED, "num", "nan"])


def _unordered(a: Array, b: Array) -> Array:
    return np.isnan(a) | np.isnan(b)


def comparison(binding: Binding, ins: Instruction, kind: str) -> Callable[[Array, Array], Array]:
    """The comparison that an opcode names, as a function of two arrays in the type's storage."""
    name = ins.parts[1]
    if kind not in FLOATS:
        if name not in _COMPARISONS:
            raise binding.unsupported("comparison")
        return _COMPARISONS[name]
    before = widen(kind)
    if name == "num":
        compare: Callable[[Array, Array], Array] = lambda a, b: ~_unordered(a, b)  # noqa: E731
    elif name == "nan":
        compare = _unordered
    elif name in _UNORDERED:
        ordered = _COMPARISONS[_UNORDERED[name]]
        compare = lambda a, b: ordered(a, b) | _unordered(a, b)  # noqa: E731
    elif name == "ne":
        compare = lambda a, b: (a != b) & ~_unordered(a, b)  # noqa: E731
    else:
        compare = _COMPARISONS[name]
    if ins.has("ftz") and kind == "f32":
        return lambda a, b: compare(flush_subnormals(a), flush_subnormals(b))
    return (lambda a, b: compare(before(a), before(b))) if kind in ("f16", "bf16", *PACKED) else compare


@instruction("setp", modifiers=f"{_NAMES} and or xor ftz")
def set_predicate(binding: Binding, ins: Instruction) -> Step:
    """`p|q = (a ? b) op c`, q with the comparison negated; for packed types p and q are the two comparisons."""
    kind = ins.type
    compare = comparison(binding, ins, kind)
    a, b = (binding.read(operand, kind) for operand in ins.operands[1:3])
    result = ins.operands[0]
    first, second = (result.first, result.second) if isinstance(result, Pair) else (result, None)
    combine = ins.one_of("and", "or", "xor")
    if combine is None and second is None and kind not in PACKED:
        return apply(compare, binding.write(first, "pred"), a, b)
    merge = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor, None: None}[combine]
    other = binding.predicate(ins.operands[3]) if merge else None
    p = binding.write(first, "pred")
    q = binding.write(second, "pred") if second is not None else None

    def step(index: Index) -> None:
        flags = compare(a[index], b[index])
        positive, negative = (flags[:, 0], flags[:, 1]) if kind in PACKED else (flags, ~flags)
        if merge and other:
            condition = other(index)
            positive, negative = merge(positive, condition), merge(negative, condition)
        p[index] = positive
        if q is not None:
            q[index] = negative

    return step


@instruction("set", modifiers=f"{_NAMES} ftz", types=(2,))
def set_number(binding: Binding, ins: Instruction) -> Step:
    """All ones (integers) or 1.0 (floats) where the comparison holds."""
    result_kind, kind = ins.types
    compare = comparison(binding, ins, kind)
    result = binding.write(ins.operands[0], result_kind)
    a, b = (binding.read(operand, kind) for operand in ins.operands[1:])
    if result_kind.startswith("bf16"):
        true = np.uint16(0x3F80)
    elif result_kind in FLOATS:
        true = result.dtype.type(1)
    else:
        true = np.array(-1).astype(result.dtype)
    zero = np.array(0, result.dtype)
    return apply(lambda x, y: np.where(compare(x, y), true, zero), result, a, b)


@instruction("selp")
def select(binding: Binding, ins: Instruction) -> Step:
    kind = ins.type
    result = binding.write(ins.operands[0], kind)
    a, b = (binding.read(operand, kind) for operand in ins.operands[1:3])
    condition = binding.predicate(ins.operands[3])

    def step(index: Index) -> None:
        result[index] = np.where(condition(index), a[index], b[index])

    return step


@instruction("slct", types=(2,))
def select_by_sign(binding: Binding, ins: Instruction) -> Step:
    kind, by = ins.types
    a, b = (binding.read(operand, kind) for operand in ins.operands[1:3])
    sign = binding.read(ins.operands[3], by)
    return apply(lambda x, y, z: np.where(z >= 0, x, y), binding.write(ins.operands[0], kind), a, b, sign)
