"""A floating-point step: precision, rounding mode and the modifiers that all such instructions share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.emulators.ptx.binding import Binding, Step
from tests.emulators.ptx.formats import Array, clamp_to_unit, flush_subnormals, narrow, widen
from tests.emulators.ptx.instructions.table import apply
from tests.emulators.ptx.syntax import Instruction


def float_step(binding: Binding, ins: Instruction, function: Callable[..., Array], fused: bool = False) -> Step:
    """Compute in the type's precision with `.ftz`, `.sat`, `.relu` and the rounding mode that the opcode names.

    `fused` functions return float64, which is rounded here.
    """
    kind, narrower = ins.types[0], ins.type
    if kind != narrower and (kind != "f32" or narrower not in ("f16", "bf16")):
        raise binding.unsupported("types")
    mode = ins.one_of("rn", "rz", "rm", "rp") or "rn"
    directed = mode != "rn"
    if directed and kind not in ("f32", "f32x2"):
        raise binding.unsupported("rounding mode of this type")
    before, after = widen(kind), narrow(kind, mode)
    flush, saturate, rectify = ins.has("ftz"), ins.has("sat"), ins.has("relu")

    def compute(*values: Array) -> Array:
        values = tuple(before(value) for value in values)
        if flush:
            values = tuple(flush_subnormals(value) for value in values)
        if directed and not fused:
            values = tuple(value.astype(np.float64) for value in values)
        result = function(*values)
        if saturate:
            result = clamp_to_unit(result)
        elif rectify:
            result = np.where(result < 0, np.zeros_like(result), result)
        result = after(result)
        return flush_subnormals(result) if flush else result

    plain = kind in ("f32", "f64", "f32x2") and not (directed or flush or saturate or rectify or fused)
    if kind != narrower:
        return _mixed(binding, ins, compute, narrower)
    sources = [binding.read(operand, kind) for operand in ins.operands[1:]]
    return apply(function if plain else compute, binding.write(ins.operands[0], kind), *sources)


def _mixed(binding: Binding, ins: Instruction, compute: Callable[..., Array], narrower: str) -> Step:
    """`add.f32.bf16 d, a, c` and `fma.rn.f32.bf16 d, a, b, c`: all but the last source are 16 bits wide."""
    exact = widen(narrower)
    last = len(ins.operands) - 1
    sources = [
        binding.read(operand, "f32" if number == last else narrower)
        for number, operand in enumerate(ins.operands)
        if number
    ]
    return apply(
        lambda *values: compute(*(exact(value) for value in values[:-1]), values[-1]),
        binding.write(ins.operands[0], "f32"),
        *sources,
    )
