"""Logic, shifts, bit fields, comparisons and moves of the PTX interpreter against plain Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.emulators.ptx_text import compute

FEW = settings(max_examples=6)
WORD = st.integers(0, 2**32 - 1)
WORDS = st.lists(st.tuples(WORD, WORD, WORD), min_size=20, max_size=40)
FIELDS = st.lists(st.tuples(WORD, WORD, st.integers(0, 40), st.integers(0, 40)), min_size=20, max_size=40)
MASK = 2**32 - 1


def columns(values):
    return [np.array(column, np.uint32) for column in zip(*values, strict=True)]


def check(statement, formula, values, dtype=np.uint32):
    expected = [formula(*row) for row in values]
    assert compute(statement, dtype, *columns(values)).tolist() == expected, statement


def permuted(a, b, selector):
    octets = ((b << 32) | a).to_bytes(8, "little")
    chosen = []
    for position in range(4):
        nibble = selector >> 4 * position & 15
        byte = octets[nibble & 7]
        chosen.append((255 if byte & 128 else 0) if nibble & 8 else byte)
    return int.from_bytes(bytes(chosen), "little")


@FEW
@given(WORDS)
def test_logic_counts_and_permutations(values):
    check("and.b32 %d, %x0, %x1;", lambda a, b, c: a & b, values)
    check("not.b32 %d, %x0;", lambda a, b, c: a ^ MASK, values)
    check("lop3.b32 %d, %x0, %x1, %x2, 0xE8;", lambda a, b, c: (a & b) | (a & c) | (b & c), values)
    check("lop3.b32 %d, %x0, %x1, %x2, 0x96;", lambda a, b, c: a ^ b ^ c, values)
    check("prmt.b32 %d, %x0, %x1, %x2;", permuted, values)
    check("prmt.b32 %d, %x0, %x1, 0x5410;", lambda a, b, c: (a & 0xFFFF) | (b & 0xFFFF) << 16, values)
    check("popc.b32 %d, %x0;", lambda a, b, c: a.bit_count(), values)
    check("clz.b32 %d, %x0;", lambda a, b, c: 32 - a.bit_length(), values)
    check("brev.b32 %d, %x0;", lambda a, b, c: int(f"{a:032b}"[::-1], 2), values)
    check("bfind.u32 %d, %x0;", lambda a, b, c: a.bit_length() - 1 if a else MASK, values)


@FEW
@given(FIELDS)
def test_shifts_clamp_and_funnels_wrap(values):
    check("shl.b32 %d, %x0, %x2;", lambda a, b, n, m: a << n & MASK, values)
    check("shr.u32 %d, %x0, %x2;", lambda a, b, n, m: a >> n, values)
    check("shr.s32 %d, %x0, %x2;", lambda a, b, n, m: ((a ^ 2**31) - 2**31 >> n) & MASK, values)
    check("shr.s32 %d, %x0, 31;", lambda a, b, n, m: MASK if a >> 31 else 0, values)
    check("shf.l.wrap.b32 %d, %x0, %x1, %x2;", lambda a, b, n, m: ((b << 32 | a) << n % 32) >> 32 & MASK, values)
    check("shf.r.wrap.b32 %d, %x0, %x1, %x2;", lambda a, b, n, m: (b << 32 | a) >> n % 32 & MASK, values)
    check("shf.r.clamp.b32 %d, %x0, %x1, %x2;", lambda a, b, n, m: (b << 32 | a) >> min(n, 32) & MASK, values)


def signed_field(a, position, length):
    """The manual's definition, bit by bit."""
    sign = a >> min(position + length - 1, 31) & 1 if length else 0
    bits = [a >> position + i & 1 if i < length and position + i < 32 else sign for i in range(32)]
    return sum(bit << i for i, bit in enumerate(bits))


@FEW
@given(FIELDS)
def test_bit_fields(values):
    def inserted(a, b, position, length):
        mask = ((1 << length) - 1) << position & MASK
        return (b & ~mask) | (a << position & mask)

    check("bfe.u32 %d, %x0, %x2, %x3;", lambda a, b, p, n: a >> p & ((1 << n) - 1), values)
    check("bfe.s32 %d, %x0, %x2, %x3;", lambda a, b, p, n: signed_field(a, p, n), values)
    check("bfi.b32 %d, %x0, %x1, %x2, %x3;", inserted, values)


@FEW
@given(st.lists(st.tuples(st.floats(width=32), st.floats(width=32)), min_size=20, max_size=40))
def test_comparisons_of_floats_are_ordered_or_unordered(values):
    a, b = (np.array(column, np.float32) for column in zip(*values, strict=True))
    unordered = np.isnan(a) | np.isnan(b)
    select = "selp.b32 %d, 1, 0, %p1;"
    for name, ordered in (("eq", a == b), ("ne", a != b), ("lt", a < b), ("ge", a >= b)):
        plain = compute(f"setp.{name}.f32 %p1, %x0, %x1; {select}", np.uint32, a, b)
        loose = compute(f"setp.{name}u.f32 %p1, %x0, %x1; {select}", np.uint32, a, b)
        np.testing.assert_array_equal(plain, ordered & ~unordered)
        np.testing.assert_array_equal(loose, ordered | unordered)
    number = compute(f"setp.num.f32 %p1, %x0, %x1; {select}", np.uint32, a, b)
    np.testing.assert_array_equal(number, ~unordered)


def test_comparisons_combine_with_predicates_and_give_both_results():
    a, b = np.array([1, 2, 3, 4], np.int32), np.array([2, 2, 2, 2], np.int32)
    both = (
        "setp.gt.s32 %p1, %x0, 3; setp.lt.and.s32 %p2|%p3, %x0, %x1, !%p1;"
        "selp.b32 %r3, 1, 0, %p2; selp.b32 %r4, 2, 0, %p3; add.s32 %d, %r3, %r4;"
    )
    assert compute(both, np.int32, a, b).tolist() == [1, 2, 2, 0]


def test_packed_comparisons_give_one_predicate_a_half():
    a = np.array([[1, 5], [3, np.nan]], np.float16)
    statement = (
        "setp.gt.f16x2 %p1|%p2, %x0, %x1; selp.b32 %r3, 1, 0, %p1; selp.b32 %r4, 2, 0, %p2; add.s32 %d, %r3, %r4;"
    )
    assert compute(statement, np.int32, a, np.full_like(a, 2)).tolist() == [2, 1]


def test_set_gives_numbers():
    a = np.array([1, 3], np.float32)
    assert compute("set.gt.u32.f32 %d, %x0, 0f40000000;", np.uint32, a).tolist() == [0, MASK]
    assert compute("set.gt.f32.f32 %d, %x0, 0f40000000;", np.float32, a).tolist() == [0, 1]


@FEW
@given(st.lists(st.integers(0, 2**64 - 1), min_size=20, max_size=40))
def test_moves_pack_and_unpack(values):
    x = np.array(values, np.uint64)
    swapped = compute("mov.b64 {%r3, %r4}, %x0; mov.b64 %d, {%r4, %r3};", np.uint64, x)
    assert swapped.tolist() == [(v >> 32) | (v & MASK) << 32 for v in values]
    quarters = compute("mov.b64 {%h1, %h2, _, %h3}, %x0; mov.b64 %d, {%h3, %h2, %h1, %h1};", np.uint64, x)
    low, second, top = ([v >> shift & 0xFFFF for v in values] for shift in (0, 16, 48))
    assert quarters.tolist() == [t | s << 16 | v << 32 | v << 48 for t, s, v in zip(top, second, low, strict=True)]


@pytest.mark.parametrize(
    ("literal", "expected"), [("0f3FC00000", 1.5), ("0fFF800000", -np.inf), ("0f7FC00000", np.nan)]
)
def test_float_literals_are_bits(literal, expected):
    np.testing.assert_array_equal(compute(f"mov.f32 %d, {literal};", np.float32, np.zeros(1)), [expected])
    np.testing.assert_array_equal(compute(f"mov.b32 %d, {literal};", np.float32, np.zeros(1)), [expected])


def test_inner_scopes_hide_registers():
    text = "mov.b32 %r3, 1; { .reg .b32 %r3; mov.b32 %r3, 7; } { .reg .b32 t; add.s32 t, %r3, 1; mov.b32 %d, t; }"
    assert compute(text, np.int32, np.zeros(3, np.int32)).tolist() == [2, 2, 2]
