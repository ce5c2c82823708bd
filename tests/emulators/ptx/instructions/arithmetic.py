"""Arithmetic opcodes: floating-point here, integers handed to `integers`, approximations to `transcendental`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.emulators.ptx.binding import Binding, Step
from tests.emulators.ptx.formats import FLOATS, Array, fused_multiply_add
from tests.emulators.ptx.instructions.carry import with_carry
from tests.emulators.ptx.instructions.floats import float_step
from tests.emulators.ptx.instructions.integers import integer
from tests.emulators.ptx.instructions.table import ROUNDING, apply, instruction
from tests.emulators.ptx.instructions.transcendental import approximate
from tests.emulators.ptx.syntax import Instruction

_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "rcp": lambda a: 1 / a,
}


@instruction("add", "sub", modifiers=f"{ROUNDING} ftz sat cc", types=(1, 2))
@instruction("mul", modifiers=f"{ROUNDING} ftz sat lo hi wide")
@instruction("div", "sqrt", "rcp", modifiers=f"{ROUNDING} ftz approx full")
@instruction("neg", "abs", modifiers="ftz")
def arithmetic(binding: Binding, ins: Instruction) -> Step:
    if ins.has("cc"):
        return with_carry(binding, ins)
    if ins.type not in FLOATS:
        return integer(binding, ins)
    if ins.has("approx", "full"):
        return approximate(binding, ins)
    return float_step(binding, ins, _FUNCTIONS[ins.kind])


@instruction("fma", "mad", modifiers=f"{ROUNDING} ftz sat relu cc lo hi wide", types=(1, 2))
def multiply_add(binding: Binding, ins: Instruction) -> Step:
    if ins.has("cc"):
        return with_carry(binding, ins)
    if ins.type not in FLOATS:
        return integer(binding, ins)
    return float_step(binding, ins, fused_multiply_add, fused=True)


@instruction("min", "max", modifiers="NaN ftz xorsign abs")
def extremum(binding: Binding, ins: Instruction) -> Step:
    """Without `.NaN` a number wins over NaN; with it NaN does. `.xorsign.abs`: magnitudes, the product's sign."""
    if ins.type not in FLOATS:
        return integer(binding, ins)
    if len(ins.operands) != 3:
        raise binding.unsupported("three inputs")
    ignoring, propagating = (np.fmin, np.minimum) if ins.kind == "min" else (np.fmax, np.maximum)
    chosen = propagating if ins.has("NaN") else ignoring
    if ins.has("xorsign"):

        def of_magnitudes(a: Array, b: Array) -> Array:
            return np.where(np.signbit(a) ^ np.signbit(b), -1, 1).astype(a.dtype) * chosen(np.abs(a), np.abs(b))

        return float_step(binding, ins, of_magnitudes)
    return float_step(binding, ins, chosen)


@instruction("copysign")
def copysign(binding: Binding, ins: Instruction) -> Step:
    """The first source's sign on the second's magnitude."""
    sign, magnitude = (binding.read(operand, ins.type) for operand in ins.operands[1:])
    return apply(np.copysign, binding.write(ins.operands[0], ins.type), magnitude, sign)


@instruction("testp", modifiers="finite infinite number notanumber normal subnormal")
def test_property(binding: Binding, ins: Instruction) -> Step:
    tests: dict[str, Callable[[Array], Array]] = {
        "finite": np.isfinite,
        "infinite": np.isinf,
        "number": lambda a: ~np.isnan(a),
        "notanumber": np.isnan,
        "normal": lambda a: np.isfinite(a) & (np.abs(a) >= np.finfo(a.dtype).tiny),
        "subnormal": lambda a: (a != 0) & (np.abs(a) < np.finfo(a.dtype).tiny),
    }
    source = binding.read(ins.operands[1], ins.type)
    return apply(tests[ins.parts[1]], binding.write(ins.operands[0], "pred"), source)
