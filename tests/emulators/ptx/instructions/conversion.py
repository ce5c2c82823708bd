"""cvt and cvta."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.emulators.ptx.binding import Binding, Step
from tests.emulators.ptx.formats import (
    FLOATS,
    PACKED,
    STORAGE,
    Array,
    clamp_to_unit,
    flush_subnormals,
    narrow,
    round_tensor_float32,
    widen,
)
from tests.emulators.ptx.instructions.table import ROUNDING, apply, instruction
from tests.emulators.ptx.memory import LOCAL_WINDOW, SHARED_WINDOW
from tests.emulators.ptx.syntax import Instruction

_TO_INTEGER = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


def _float_to_integer(kind: str, ins: Instruction) -> Callable[[Array], Array]:
    """Rounded, clamped to the range of the type; NaN becomes 0."""
    rounding = _TO_INTEGER[ins.one_of(*_TO_INTEGER) or "rzi"]
    limits = np.iinfo(STORAGE[kind])

    def convert(values: Array) -> Array:
        rounded = rounding(values.astype(np.float64))
        inside = np.clip(np.nan_to_num(rounded, nan=0.0), limits.min, limits.max)
        # float(limits.max) of 64-bit types is one too large for the integer type.
        above, below = inside >= float(limits.max), inside <= float(limits.min)
        result = np.where(above | below, 0.0, inside).astype(STORAGE[kind])
        result = np.where(above, STORAGE[kind].type(limits.max), result)
        return np.where(below, STORAGE[kind].type(limits.min), result)

    return convert


def _integer_to_float(kind: str, mode: str) -> Callable[[Array], Array]:
    after = narrow(kind, mode)

    def convert(values: Array) -> Array:
        if kind == "f64" or (values.dtype.itemsize < 8 or mode != "rn"):
            return after(values.astype(np.float64))
        return after(values.astype(np.float32))

    return convert


def _float_to_float(ins: Instruction, target: str, source: str, mode: str) -> Callable[[Array], Array]:
    before, after = widen(source), narrow(target, mode)
    integral = ins.one_of(*_TO_INTEGER)
    flush, saturate, rectify = ins.has("ftz"), ins.has("sat"), ins.has("relu")

    def convert(values: Array) -> Array:
        values = before(values)
        if flush and values.dtype == np.float32:
            values = flush_subnormals(values)
        if integral:
            values = _TO_INTEGER[integral](values)
        if saturate:
            values = clamp_to_unit(values)
        if rectify:
            values = np.where(values < 0, np.zeros_like(values), values)
        if target == "f64":
            return values.astype(np.float64)
        result = after(values)
        return flush_subnormals(result) if flush and target == "f32" else result

    return convert


@instruction("cvt", modifiers=f"{ROUNDING} rna rni rzi rmi rpi ftz sat relu", types=(2,))
def convert(binding: Binding, ins: Instruction) -> Step:
    target, source = ins.types
    if target in PACKED:
        return _pack(binding, ins, target, source)
    result = binding.write(ins.operands[0], "b32" if target == "tf32" else target)
    values = binding.read(ins.operands[1], source)
    mode = ins.one_of("rn", "rna", "rz", "rm", "rp") or "rn"
    function: Callable[[Array], Array]
    if target == "tf32":
        function = lambda a: round_tensor_float32(a, mode).view(np.uint32)  # noqa: E731
    elif target in FLOATS:
        function = _float_to_float(ins, target, source, mode) if source in FLOATS else _integer_to_float(target, mode)
    elif source in FLOATS:
        before, rounded = widen(source), _float_to_integer(target, ins)
        function = lambda a: rounded(before(a))  # noqa: E731
    elif ins.has("sat"):
        limits = np.iinfo(STORAGE[target])
        function = lambda a: _clip_integers(a, limits).astype(STORAGE[target])  # noqa: E731
    else:
        function = lambda a: a.astype(STORAGE[target])  # noqa: E731
    return apply(function, result, values)


def _clip_integers(values: Array, limits: np.iinfo) -> Array:
    own = np.iinfo(values.dtype)
    return np.clip(values, max(limits.min, own.min), min(limits.max, own.max))


def _pack(binding: Binding, ins: Instruction, target: str, source: str) -> Step:
    """`cvt.rn.f16x2.f32 d, a, b`: a above b."""
    if source != "f32" or len(ins.operands) != 3:
        raise binding.unsupported()
    function = _float_to_float(ins, PACKED[target], source, ins.one_of("rn", "rz") or "rn")
    result = binding.write(ins.operands[0], target)
    upper, lower = (binding.read(operand, source) for operand in ins.operands[1:])
    return apply(lambda a, b: np.stack((function(b), function(a)), axis=1), result, upper, lower)


@instruction("cvta", modifiers="to global const local shared shared::cta")
def convert_address(binding: Binding, ins: Instruction) -> Step:
    """Between a state space and the generic window onto it. Global addresses are generic ones."""
    kind = ins.type
    window = 0
    if any(part.startswith("shared") for part in ins.parts):
        window = SHARED_WINDOW
    elif ins.has("local"):
        window = LOCAL_WINDOW
    change = np.array(-window if ins.has("to") else window, np.int64).astype(STORAGE[kind])
    return apply(lambda a: a + change, binding.write(ins.operands[0], kind), binding.read(ins.operands[1], kind))


@instruction("isspacep", modifiers="global local shared shared::cta", types=(0,))
def is_in_space(binding: Binding, ins: Instruction) -> Step:
    bounds = {"shared": (SHARED_WINDOW, LOCAL_WINDOW), "local": (LOCAL_WINDOW, 1 << 63), "global": (0, SHARED_WINDOW)}
    low, high = bounds[ins.parts[1].split("::")[0]]
    source = binding.read(ins.operands[1], "u64")
    return apply(
        lambda a: (a >= np.uint64(low)) & (a < np.uint64(high)), binding.write(ins.operands[0], "pred"), source
    )
