"""Arithmetic of the PTX interpreter against exact integers, fractions, and torch's roundings."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.emulators import ptx
from tests.emulators.ptx_text import compute

FEW = settings(max_examples=6)
INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


def rows(strategy, columns):
    return st.lists(st.tuples(*[strategy] * columns), min_size=20, max_size=40)


def columns(values, dtype):
    return [np.array(column, dtype) for column in zip(*values, strict=True)]


def wrap(value, bits):
    return (value + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def truncated_quotient(a, b):
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


@FEW
@given(rows(INT32, 3))
def test_integer_arithmetic_wraps_and_divides_as_c_does(values):
    a, b, c = columns(values, np.int32)

    def check(statement, formula, dtype=np.int32, bits=32):
        expected = [wrap(formula(*row), bits) for row in values]
        assert compute(statement, dtype, a, b, c).tolist() == expected, statement

    check("add.s32 %d, %x0, %x1;", lambda a, b, c: a + b)
    check("sub.s32 %d, %x0, %x1;", lambda a, b, c: a - b)
    check("mul.lo.s32 %d, %x0, %x1;", lambda a, b, c: a * b)
    check("mul.hi.s32 %d, %x0, %x1;", lambda a, b, c: (a * b) >> 32)
    check("mul.hi.u32 %d, %x0, %x1;", lambda a, b, c: ((a % 2**32) * (b % 2**32)) >> 32)
    check("mul.wide.s32 %d, %x0, %x1;", lambda a, b, c: a * b, np.int64, 64)
    check("mad.lo.s32 %d, %x0, %x1, %x2;", lambda a, b, c: a * b + c)
    check("min.s32 %d, %x0, %x1;", lambda a, b, c: min(a, b))
    check("max.u32 %d, %x0, %x1;", lambda a, b, c: max(a % 2**32, b % 2**32))
    check("abs.s32 %d, %x0;", lambda a, b, c: abs(a))
    check("neg.s32 %d, %x0;", lambda a, b, c: -a)
    check("add.sat.s32 %d, %x0, %x1;", lambda a, b, c: max(-(2**31), min(2**31 - 1, a + b)))
    check("div.s32 %d, %x0, %x1;", lambda a, b, c: truncated_quotient(a, b) if b else -1)
    check("rem.s32 %d, %x0, %x1;", lambda a, b, c: a - b * truncated_quotient(a, b) if b else a)
    check("div.u32 %d, %x0, %x1;", lambda a, b, c: (a % 2**32) // (b % 2**32) if b else -1)
    check("sad.s32 %d, %x0, %x1, %x2;", lambda a, b, c: c + abs(a - b))


@FEW
@given(rows(INT64, 2))
def test_high_products_of_64_bits_are_exact(values):
    a, b = columns(values, np.int64)
    signed = compute("mul.hi.s64 %d, %x0, %x1;", np.int64, a, b)
    unsigned = compute("mul.hi.u64 %d, %x0, %x1;", np.uint64, a, b)
    assert signed.tolist() == [(x * y) >> 64 for x, y in values]
    assert unsigned.tolist() == [((x % 2**64) * (y % 2**64)) >> 64 for x, y in values]


@FEW
@given(rows(INT64, 2))
def test_carries_chain_words_into_long_integers(values):
    a, b = columns(values, np.int64)
    split = ".reg .b32 %al, %ah, %bl, %bh, %l, %h; mov.b64 {%al, %ah}, %x0; mov.b64 {%bl, %bh}, %x1;"
    join = "mov.b64 %d, {%l, %h};"
    total = compute(split + "add.cc.u32 %l, %al, %bl; addc.u32 %h, %ah, %bh;" + join, np.int64, a, b)
    difference = compute(split + "sub.cc.u32 %l, %al, %bl; subc.u32 %h, %ah, %bh;" + join, np.int64, a, b)
    assert total.tolist() == [wrap(x + y, 64) for x, y in values]
    assert difference.tolist() == [wrap(x - y, 64) for x, y in values]


@FEW
@given(rows(FLOAT32, 3))
def test_fused_multiply_add_rounds_once(values):
    a, b, c = columns(values, np.float32)
    got = compute("fma.rn.f32 %d, %x0, %x1, %x2;", np.float32, a, b, c)
    for value, (x, y, z) in zip(got, values, strict=True):
        exact = Fraction(x) * Fraction(y) + Fraction(z)
        if np.isinf(value):
            assert abs(exact) > Fraction(float(np.finfo(np.float32).max))
            continue
        below, above = (Fraction(float(np.nextafter(value, np.float32(to)))) for to in (-3.4e38, 3.4e38))
        nearest = Fraction(float(value))
        # Twice rounded through float64: at most a hair beyond half a unit.
        slack = Fraction(abs(exact)) / 2**50
        assert abs(exact - nearest) <= min(abs(exact - below), abs(exact - above)) + slack


@FEW
@given(rows(FLOAT32, 2))
def test_directed_roundings_bracket_the_exact_result(values):
    a, b = columns(values, np.float32)
    down = compute("mul.rm.f32 %d, %x0, %x1;", np.float32, a, b)
    up = compute("mul.rp.f32 %d, %x0, %x1;", np.float32, a, b)
    zero = compute("mul.rz.f32 %d, %x0, %x1;", np.float32, a, b)
    for low, high, near_zero, (x, y) in zip(down, up, zero, values, strict=True):
        exact = Fraction(x) * Fraction(y)
        assert low == -np.inf or Fraction(float(low)) <= exact
        assert high == np.inf or Fraction(float(high)) >= exact
        with np.errstate(over="ignore"):
            assert np.nextafter(low, np.float32(np.inf)) >= high
        assert near_zero == (low if exact > 0 else high)


@FEW
@given(st.lists(st.floats(width=32), min_size=20, max_size=60))
def test_16_bit_conversions_round_as_torch_does(values):
    x = np.array(values, np.float32)
    tensor = torch.from_numpy(x)
    for kind, dtype in (("bf16", torch.bfloat16), ("f16", torch.float16)):
        there = f".reg .b16 %t; cvt.rn.{kind}.f32 %t, %x0;"
        back = compute(f"{there} cvt.f32.{kind} %d, %t;", np.float32, x)
        np.testing.assert_array_equal(back, tensor.to(dtype).float().numpy())
    upper_lower = compute("cvt.rn.bf16x2.f32 %d, %x0, %x1;", (np.uint16, 2), x, -x)
    expected = torch.stack((-tensor, tensor), 1).bfloat16().float()
    got = (upper_lower.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(got, expected.numpy())


@FEW
@given(rows(st.floats(-100, 100, width=16), 3))
def test_packed_halves_compute_with_one_rounding(values):
    columns16 = [np.stack((c, -c), 1) for c in columns(values, np.float16)]
    a, b, c = (column.astype(np.float64) for column in columns16)
    for statement, expected in (
        ("fma.rn.f16x2 %d, %x0, %x1, %x2;", a * b + c),
        ("add.f16x2 %d, %x0, %x1;", a + b),
        ("mul.f16x2 %d, %x0, %x1;", a * b),
        ("max.NaN.f16x2 %d, %x0, %x1;", np.maximum(a, b)),
    ):
        got = compute(statement, (np.float16, 2), *columns16)
        np.testing.assert_array_equal(got, expected.astype(np.float16), err_msg=statement)


def test_minima_treat_nan_as_the_opcode_says():
    a = np.array([1, np.nan, np.nan, 2], np.float32)
    b = np.array([np.nan, 1, np.nan, 3], np.float32)
    np.testing.assert_array_equal(compute("min.f32 %d, %x0, %x1;", np.float32, a, b), [1, 1, np.nan, 2])
    np.testing.assert_array_equal(compute("max.NaN.f32 %d, %x0, %x1;", np.float32, a, b), [np.nan] * 3 + [3])
    signs = compute("min.xorsign.abs.f32 %d, %x0, %x1;", np.float32, np.float32([-2, -2]), np.float32([3, -3]))
    np.testing.assert_array_equal(signs, [-2, 2])


def test_modifiers_saturate_rectify_and_flush():
    x = np.array([-1, 0.25, 2, np.nan, 1e-40], np.float32)
    zero = np.zeros_like(x)
    saturated = compute("add.sat.f32 %d, %x0, %x1;", np.float32, x, zero)
    np.testing.assert_array_equal(saturated, [0, 0.25, 1, 0, x[4]])
    flushed = compute("add.ftz.f32 %d, %x0, %x1;", np.float32, x, zero)
    np.testing.assert_array_equal(flushed, [-1, 0.25, 2, np.nan, 0])
    rectified = compute("fma.rn.relu.f16 %d, %x0, %x1, %x0;", np.float16, x.astype(np.float16), zero.astype(np.float16))
    np.testing.assert_array_equal(rectified, [0, 0.25, 2, np.nan, 0])


@pytest.mark.parametrize(
    ("opcode", "function", "bound"),
    [
        ("ex2.approx.f32", np.exp2, 2.0**-22.5),
        ("tanh.approx.f32", np.tanh, 2.0**-11),
        ("rcp.approx.ftz.f32", lambda x: 1 / x, 2.0**-23),
        ("rsqrt.approx.f32", lambda x: 1 / np.sqrt(x), 2.0**-22.9),
        ("sqrt.approx.f32", np.sqrt, 2.0**-23),
    ],
)
def test_approximations_err_inside_the_published_bound_and_not_less(opcode, function, bound):
    x = np.random.default_rng(0).uniform(0.1, 5, 4000).astype(np.float32)
    truth = function(x.astype(np.float64))
    rounding = 2.0**-24
    error = np.abs(compute(f"{opcode} %d, %x0;", np.float32, x) - truth) / np.abs(truth)
    assert bound * 0.5 < error.max() <= bound + rounding
    exact = compute(f"{opcode} %d, %x0;", np.float32, x, exact_approximations=True)
    np.testing.assert_array_equal(exact, truth.astype(np.float32))


def test_approximations_keep_exact_results_and_special_values():
    x = np.array([0, 1, -3, np.inf, -np.inf, np.nan], np.float32)
    np.testing.assert_array_equal(compute("ex2.approx.f32 %d, %x0;", np.float32, x), np.exp2(x))
    np.testing.assert_array_equal(compute("rcp.approx.f32 %d, %x0;", np.float32, x[1:2] / 8), [8])
    np.testing.assert_array_equal(compute("tanh.approx.f32 %d, %x0;", np.float32, x[[0, 3, 4]]), [0, 1, -1])
    np.testing.assert_array_equal(
        compute("div.approx.f32 %d, %x0, %x1;", np.float32, x[1:2], np.float32([2**127])), [0]
    )


@FEW
@given(st.lists(st.floats(-(2.0**70), 2.0**70, width=32) | st.just(float("nan")), min_size=20, max_size=40))
def test_float_to_integer_conversions_clamp(values):
    x = np.array(values, np.float32)
    for rounding, function in (("rzi", np.trunc), ("rni", np.rint), ("rmi", np.floor), ("rpi", np.ceil)):
        for kind, dtype in (("s32", np.int32), ("u32", np.uint32), ("s64", np.int64), ("s16", np.int16)):
            limits = np.iinfo(dtype)
            expected = [0 if np.isnan(v) else max(limits.min, min(limits.max, int(function(np.float64(v))))) for v in x]
            got = compute(f"cvt.{rounding}.{kind}.f32 %d, %x0;", dtype, x)
            assert got.tolist() == expected, (rounding, kind)


def test_integers_convert_to_floats_and_to_other_widths():
    x = np.array([-1, 2**31 - 1, -(2**31), 300, 2**24 + 1], np.int32)
    np.testing.assert_array_equal(compute("cvt.rn.f32.s32 %d, %x0;", np.float32, x), x.astype(np.float32))
    np.testing.assert_array_equal(compute("cvt.rz.f32.s32 %d, %x0;", np.float32, x[4:]), [2**24])
    np.testing.assert_array_equal(compute("cvt.s64.s32 %d, %x0;", np.int64, x), x.astype(np.int64))
    np.testing.assert_array_equal(compute("cvt.u64.u32 %d, %x0;", np.uint64, x), x.astype(np.uint32).astype(np.uint64))
    np.testing.assert_array_equal(compute("cvt.s32.s8 %d, %x0;", np.int32, x), x.astype(np.int8).astype(np.int32))
    np.testing.assert_array_equal(compute("cvt.sat.u8.s32 %d, %x0;", np.uint32, x), np.clip(x, 0, 255))


def test_tensor_float_conversion_keeps_ten_bits():
    x = np.array([1 + 2**-11, 1 + 2**-10, -1 - 2**-11 - 2**-20, np.inf], np.float32)
    got = compute("cvt.rna.tf32.f32 %d, %x0;", np.float32, x)
    np.testing.assert_array_equal(got, np.float32([1 + 2**-10, 1 + 2**-10, -1 - 2**-10, np.inf]))


def test_double_precision_fused_multiply_add_keeps_the_low_bits():
    a = np.array([1 + 2**-52])
    got = compute("fma.rn.f64 %d, %x0, %x0, %x1;", np.float64, a, -a * a)
    exact = Fraction(float(a[0])) ** 2 - Fraction(float(a[0] * a[0]))
    assert Fraction(float(got[0])) == exact


def test_mixed_precision_widens_the_narrow_sources():
    x = torch.randn(50).bfloat16()
    bits, y = x.view(torch.int16).numpy().view(np.uint16), np.linspace(-3, 3, 50, dtype=np.float32)
    wide = x.float().numpy()
    np.testing.assert_array_equal(compute("sub.rn.f32.bf16 %d, %x0, %x1;", np.float32, bits, y), wide - y)
    fused = compute("fma.rn.f32.bf16 %d, %x0, %x0, %x1;", np.float32, bits, y)
    np.testing.assert_array_equal(fused, (wide.astype(np.float64) ** 2 + y).astype(np.float32))


@pytest.mark.parametrize("opcode", ["add.rn.satfinite.f32", "add.f16.f32", "min.relu.s32", "mad.hi.sat.s32"])
def test_a_form_that_is_not_executed_is_refused(opcode):
    x = np.zeros(1, np.float32)
    with pytest.raises(ptx.UnsupportedInstruction, match=opcode):
        compute(f"{opcode} %d, %x0, %x0{', %x0' if 'mad' in opcode else ''};", np.float32, x)


def test_an_unknown_opcode_is_named_with_its_line():
    with pytest.raises(ptx.UnsupportedInstruction, match=r"wgmma\.fence\.sync.*PTX line \d+: wgmma"):
        compute("wgmma.fence.sync.aligned;\nmov.b32 %d, %x0;", np.int32, np.zeros(1, np.int32))
