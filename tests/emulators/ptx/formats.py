"""Number formats: how PTX types are stored in numpy, and their rounding.

bfloat16 has no numpy type, so it is stored as its 16 bits and computed in float32. Packed types carry a last axis of 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

STORAGE: dict[str, np.dtype[Any]] = {
    "pred": np.dtype(np.bool_),
    **{f"{kind}{bits}": np.dtype(f"u{bits // 8}") for kind in "bu" for bits in (8, 16, 32, 64)},
    **{f"s{bits}": np.dtype(f"i{bits // 8}") for bits in (8, 16, 32, 64)},
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(np.uint16),
    "f16x2": np.dtype(np.float16),
    "bf16x2": np.dtype(np.uint16),
    "f32x2": np.dtype(np.float32),
    "tf32": np.dtype(np.float32),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
}
PACKED = {"f16x2": "f16", "bf16x2": "bf16", "f32x2": "f32"}
FLOATS = ("f16", "bf16", "f32", "f64", *PACKED)


def bfloat16_to_float32(bits: Array) -> Array:
    """Exact."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def float32_to_bfloat16(values: Array, mode: str = "rn") -> Array:
    """Rounded to nearest even (`rn`) or toward zero (`rz`). Every NaN becomes 0x7fff, as the hardware does."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    if mode == "rn":
        bits = bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))
    result = (bits >> np.uint32(16)).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FFF), result)


def float64_to_odd_float32(values: Array) -> Array:
    """Truncated, with the last bit set where inexact, so that a second rounding to fewer bits is right."""
    truncated = round_float32(values, "rz")
    inexact = truncated.astype(np.float64) != values
    bits = truncated.view(np.uint32) | (inexact & np.isfinite(truncated))
    return bits.astype(np.uint32).view(np.float32)


def round_float32(values: Array, mode: str) -> Array:
    """float64 to float32 to nearest even (`rn`), toward zero (`rz`), down (`rm`) or up (`rp`)."""
    nearest = values.astype(np.float32)
    if mode == "rn":
        return nearest
    back = nearest.astype(np.float64)
    if mode == "rz":
        wrong, toward = np.abs(back) > np.abs(values), np.float32(0)
    elif mode == "rm":
        wrong, toward = back > values, np.float32(-np.inf)
    elif mode == "rp":
        wrong, toward = back < values, np.float32(np.inf)
    else:
        raise ValueError(f"rounding mode {mode}")
    return np.where(wrong, np.nextafter(nearest, toward), nearest).astype(np.float32)


def round_tensor_float32(values: Array, mode: str = "rna") -> Array:
    """float32 to tf32's 10 explicit bits: nearest, ties away (`rna`), to even (`rn`) or toward zero (`rz`)."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    half = {"rna": np.uint32(0x1000), "rn": np.uint32(0xFFF) + ((bits >> np.uint32(13)) & np.uint32(1)), "rz": 0}[mode]
    rounded = ((bits + half) & np.uint32(0xFFFFE000)).astype(np.uint32).view(np.float32)
    return np.where(np.isfinite(values), rounded, values).astype(np.float32)


def flush_subnormals(values: Array) -> Array:
    """`.ftz`: float32 subnormals become zero of the same sign."""
    return np.where(np.abs(values) < np.finfo(np.float32).tiny, np.copysign(np.float32(0), values), values)


def clamp_to_unit(values: Array) -> Array:
    """`.sat`: into [0, 1], NaN to 0."""
    return np.where(np.isnan(values), 0, np.clip(values, 0, 1)).astype(values.dtype)


def fused_multiply_add(a: Array, b: Array, c: Array) -> Array:
    """a b + c with one rounding.

    float32 goes through float64, where the product is exact and the sum is rounded once before the second rounding:
    wrong by one unit in the last place about once in 2^29 operations. float64 carries the errors of product and sum
    along (Dekker, Knuth).
    """
    if a.dtype != np.float64:
        return a.astype(np.float64) * b + c
    product = a * b
    split = [(x, x * 134217729.0) for x in (a, b)]
    (a_high, b_high) = (scaled - (scaled - x) for x, scaled in split)
    a_low, b_low = a - a_high, b - b_high
    product_error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    total = product + c
    from_c = total - product
    sum_error = (product - (total - from_c)) + (c - from_c)
    error = product_error + sum_error
    return np.where(np.isfinite(error), total + error, total)


def widen(kind: str) -> Callable[[Array], Array]:
    """Storage of a floating type to the precision that it is computed in."""
    kind = PACKED.get(kind, kind)
    if kind == "f16":
        return lambda x: x.astype(np.float32)
    if kind == "bf16":
        return bfloat16_to_float32
    return lambda x: x


def narrow(kind: str, mode: str = "rn") -> Callable[[Array], Array]:
    """A float32 or float64 result to the storage of a floating type, rounded once."""
    kind = PACKED.get(kind, kind)
    if kind == "f16":
        if mode == "rz":
            return lambda x: _truncate_float16(x)
        return lambda x: x.astype(np.float16)
    if kind == "bf16":
        return lambda x: float32_to_bfloat16(float64_to_odd_float32(x) if x.dtype == np.float64 else x, mode)
    if kind == "f32":
        return lambda x: round_float32(x, mode) if x.dtype == np.float64 else x
    return lambda x: x


def _truncate_float16(values: Array) -> Array:
    nearest = values.astype(np.float16)
    wrong = np.abs(nearest.astype(values.dtype)) > np.abs(values)
    return np.where(wrong, np.nextafter(nearest, np.float16(0)), nearest)
