"""Approximate instructions: the special function unit and approximate division.

Hardware results differ from the true value, so these are moved by a pseudo-random amount inside the largest error that
the PTX ISA manual states. The amount is a function of the result alone: same inputs, same bits. Results that float32
holds exactly, such as 2^0 and the reciprocal of a power of two, stay exact.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.emulators.ptx.binding import Binding, Step
from tests.emulators.ptx.formats import PACKED, Array, flush_subnormals, narrow, widen
from tests.emulators.ptx.instructions.table import apply, instruction
from tests.emulators.ptx.syntax import Instruction

Bound = Callable[[Array, Array], Array | float]


def _relative(exponent: float) -> Bound:
    return lambda result, source: np.abs(result) * 2.0**exponent


def _absolute(exponent: float) -> Bound:
    return lambda result, source: 2.0**exponent


def _logarithm(result: Array, source: Array) -> Array:
    """2^-22, absolute for arguments in (0.5, 2) and relative outside."""
    return np.maximum(np.abs(result), 1) * 2.0**-22


def _circular(result: Array, source: Array) -> Array:
    return np.where(np.abs(source) <= 2 * np.pi, 2.0**-20.5, 2.0**-14.7)


_ERRORS: dict[tuple[str, str], Bound] = {
    ("ex2", "f32"): _relative(-22.5),
    ("ex2", "f16"): _relative(-9.9),
    ("ex2", "bf16"): _relative(-7),
    ("lg2", "f32"): _logarithm,
    ("sin", "f32"): _circular,
    ("cos", "f32"): _circular,
    ("tanh", "f32"): _relative(-11),
    ("tanh", "f16"): _absolute(-10.987),
    ("tanh", "bf16"): _absolute(-8),
    ("rcp", "f32"): _relative(-23),
    ("rcp", "f64"): _relative(-20),
    ("sqrt", "f32"): _relative(-23),
    ("rsqrt", "f32"): _relative(-22.9),
    ("rsqrt", "f64"): _relative(-20),
    ("div", "f32"): _relative(-22),
}
_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "ex2": np.exp2,
    "lg2": np.log2,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "rcp": lambda a: 1 / a,
    "sqrt": np.sqrt,
    "rsqrt": lambda a: 1 / np.sqrt(a),
    "div": np.divide,
}


def _disturb(values: Array, bound: Array | float) -> Array:
    """Move float64 values by less than the bound, except where float32 holds them exactly."""
    bits = np.ascontiguousarray(values).view(np.uint64)
    mixed = (bits ^ (bits >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    unit = ((mixed >> np.uint64(40)).astype(np.float64) - 2.0**23) / 2.0**23
    exact = (values == values.astype(np.float32)) | ~np.isfinite(values)
    return np.where(exact, values, values + bound * unit)


def _vanishing_division(sources: list[Array], result: Array) -> Array:
    """`div.approx` multiplies by a reciprocal, which is zero for divisors in (2^126, 2^128)."""
    huge = (np.abs(sources[1]) > 2.0**126) & np.isfinite(sources[1])
    return np.where(huge, np.where(np.isinf(sources[0]), np.nan, np.copysign(0, result)), result)


@instruction("ex2", "lg2", "sin", "cos", "tanh", "rsqrt", modifiers="approx ftz")
def approximate(binding: Binding, ins: Instruction) -> Step:
    kind = ins.type
    bound = _ERRORS.get((ins.kind, PACKED.get(kind, kind)))
    if bound is None:
        raise binding.unsupported("approximation of this type")
    function = _FUNCTIONS[ins.kind]
    before, after = widen(kind), narrow(kind)
    flush = ins.has("ftz")
    exact = binding.exact_approximations
    vanishing = ins.kind == "div" and not ins.has("full")

    def compute(*values: Array) -> Array:
        sources = [before(value) for value in values]
        if flush and sources[0].dtype == np.float32:
            sources = [flush_subnormals(value) for value in sources]
        result = function(*(value.astype(np.float64) for value in sources))
        if not exact:
            result = _disturb(result, bound(result, sources[0]))
        if ins.kind == "tanh":
            result = np.clip(result, -1, 1)
        if vanishing:
            result = _vanishing_division(sources, result)
        result = after(result)
        return flush_subnormals(result) if flush and kind == "f32" else result

    sources = [binding.read(operand, kind) for operand in ins.operands[1:]]
    return apply(compute, binding.write(ins.operands[0], kind), *sources)
