"""Arithmetic that the kernels share: reciprocals, exponentials, and the exponential form of tanh.

``tanh(q + k) = 1 - 2 r`` with ``r = 1 / (1 + e^(2q) e^(2k))``. Queries' exponentials are held scaled by 2^-60, so that
a denominator ``d = 2^-60 (1 + e^(2q) e^(2k))`` saturates at 1 (where r is below float32's notice) in the same
instruction that computes it, and the product of two denominators, whose reciprocal serves two units, stays in range.
Multiplications and additions that must be one instruction are written as ``tl.fma``, products that must be rounded as
:func:`rounded_product`: nothing here depends on whether the compiler contracts the others.
"""

import triton
import triton.language as tl

# Keys may reach 40 and queries 20: the scaled exponentials of queries then span 2^-118 to 2^-2, those of keys 2^-116
# to 2^116, and no product overflows.
KEY_LIMIT = 40.0
QUERY_LIMIT = 20.0
QUERY_SCALE = 2.0**-60

_KEY_LIMIT = tl.constexpr(KEY_LIMIT)
_QUERY_LIMIT = tl.constexpr(QUERY_LIMIT)
_SCALE = tl.constexpr(QUERY_SCALE)
_LOG2_E = tl.constexpr(1.4426950408889634)
_LN_2 = tl.constexpr(0.6931471805599453)
# 2 log2(e) = HIGH + LOW with 12 bits in HIGH: its product with a number of 12 bits is exact in float32.
_HIGH = tl.constexpr(2.8857421875)
_LOW = tl.constexpr(-0.000352105722073226)

if triton.knobs.runtime.interpret:
    # The interpreter runs no inline assembly.
    @triton.jit
    def reciprocal(x):
        return 1.0 / x

    @triton.jit
    def power_of_two(x):
        return tl.exp2(x)

    @triton.jit
    def rounded_product(x, y):
        return x * y

else:

    @triton.jit
    def reciprocal(x):
        """1 / x in one special-function instruction, to one unit in the last place; inf gives 0."""
        return tl.inline_asm_elementwise(
            "rcp.approx.ftz.f32 $0, $1;", "=f,f", [x], dtype=tl.float32, is_pure=True, pack=1
        )

    @triton.jit
    def power_of_two(x):
        """2^x in one special-function instruction; what would be subnormal is 0."""
        return tl.inline_asm_elementwise(
            "ex2.approx.ftz.f32 $0, $1;", "=f,f", [x], dtype=tl.float32, is_pure=True, pack=1
        )

    @triton.jit
    def rounded_product(x, y):
        """x y, rounded whatever is done with it: for what lanes sum among themselves.

        Contracted with the first addition of such a sum, each lane would round its own product never and the others'
        once, and the lanes' copies of one sum would differ.
        """
        return tl.inline_asm_elementwise(
            "mul.rn.f32 $0, $1, $2;", "=f,f,f", [x, y], dtype=tl.float32, is_pure=True, pack=1
        )


@triton.jit
def natural_exponential(x):
    """e^x for a softmax: x at most 0 and near it where the result matters."""
    return power_of_two(x * _LOG2_E)


@triton.jit
def doubled_exponential(x):
    """e^(2x) to a few units in the last place wherever it does not overflow.

    ``2 log2(e) x`` rounded once would err by 2.7e-6 near 38: the product is split in an exact part and a small rest.
    """
    high = (x.to(tl.int32, bitcast=True) & -4096).to(tl.float32, bitcast=True)
    rest = (x - high) * (_HIGH + _LOW) + high * _LOW
    return power_of_two(high * _HIGH) * power_of_two(rest)


@triton.jit
def doubled_exponential_of_few_bits(x):
    """:func:`doubled_exponential` of what was float16 or bfloat16: the exact product needs no split of x."""
    rest = x * (_LOW * _LN_2)
    power = power_of_two(x * _HIGH)
    # e^rest to third order; |rest| is at most 0.01.
    series = tl.fma(rest, tl.fma(rest, 1.0 / 6.0, 0.5), 1.0)
    return tl.fma(power * rest, series, power)


@triton.jit
def key_exponential(tile, STORED: tl.constexpr):
    """e^(2 keys) of a loaded tile: as it is where exponentials are stored, taken now where the keys have 16 bits."""
    return tile if STORED else doubled_exponential_of_few_bits(tile.to(tl.float32))


@triton.jit
def query_exponential(query):
    """2^-60 e^(2 query)."""
    return doubled_exponential(query) * _SCALE


@triton.jit
def within_query_limit(query):
    """1 where the exponential form serves this query entry, else (NaN included) 0."""
    return (tl.abs(query) <= _QUERY_LIMIT).to(tl.int32)


@triton.jit
def within_key_limit(key):
    return (tl.abs(key) <= _KEY_LIMIT).to(tl.int32)


@triton.jit
def denominator(query, key):
    """2^-60 (1 + e^(2q) e^(2k)), at most 1."""
    return tl.clamp(tl.fma(query, key, _SCALE), 0.0, 1.0)


@triton.jit
def direct_ratio(query, key):
    """r = 1 / (1 + e^(2(q + k))) from the sum itself, for any range: infinities and NaN give what tanh gives."""
    return reciprocal(1.0 + power_of_two((query + key) * (2.0 * _LOG2_E)))


@triton.jit
def pair_terms(query_0, query_1, key_0, key_1, v_0, v_1, DIRECT: tl.constexpr):
    """``v_0 r_0 + v_1 r_1`` of two units, with one reciprocal; 2^60 times that unless ``DIRECT``."""
    if DIRECT:
        terms = tl.fma(v_0, direct_ratio(query_0, key_0), v_1 * direct_ratio(query_1, key_1))
    else:
        below_0, below_1 = denominator(query_0, key_0), denominator(query_1, key_1)
        terms = tl.fma(v_0, below_1, v_1 * below_0) * reciprocal(below_0 * below_1)
    return terms


@triton.jit
def score_of_terms(terms, DIRECT: tl.constexpr):
    """The score without its constant, ``-2 sum v r``, from the sum of :func:`pair_terms`."""
    return terms * (-2.0 if DIRECT else -2.0 * _SCALE)


@triton.jit
def pair_ratios(query_0, query_1, key_0, key_1, DIRECT: tl.constexpr):
    """r of two units, with one reciprocal unless ``DIRECT``."""
    if DIRECT:
        ratio_0, ratio_1 = direct_ratio(query_0, key_0), direct_ratio(query_1, key_1)
    else:
        below_0, below_1 = denominator(query_0, key_0), denominator(query_1, key_1)
        shared = reciprocal(below_0 * below_1) * _SCALE
        ratio_0, ratio_1 = below_1 * shared, below_0 * shared
    return ratio_0, ratio_1


@triton.jit
def split_pairs(tile, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """[ROWS, COLUMNS] -> its even and its odd columns: neighbouring units share a reciprocal and a wide load."""
    return tl.split(tl.reshape(tile, (ROWS, COLUMNS // 2, 2)))


@triton.jit
def split_row(row, COLUMNS: tl.constexpr):
    """[COLUMNS] -> its even and its odd entries."""
    return tl.split(tl.reshape(row, (COLUMNS // 2, 2)))


@triton.jit
def finite_or_zero_maximum(maximum):
    """What a softmax subtracts: 0 for a row with nothing to attend, so that -inf - -inf is never taken."""
    return tl.where(maximum == float("-inf"), 0.0, maximum)


@triton.jit
def inverse_or_zero(total):
    """1 / total, and 0 for a row with nothing to attend; NaN stays NaN."""
    return tl.where(total == 0.0, 0.0, 1.0 / total)


@triton.jit
def sigmoid(x):
    return 1.0 / (1.0 + power_of_two(x * -_LOG2_E))


@triton.jit
def tanh(x):
    """tanh with a small relative error everywhere: a series near 0, where ``1 - 2 r`` would cancel.

    The polynomial is tanh's Taylor series to x^13, below float32's notice up to 0.4.
    """
    square = x * x
    series = tl.fma(square, 21844.0 / 6081075.0, -1382.0 / 155925.0)
    series = tl.fma(square, series, 62.0 / 2835.0)
    series = tl.fma(square, series, -17.0 / 315.0)
    series = tl.fma(square, series, 2.0 / 15.0)
    series = tl.fma(square, series, -1.0 / 3.0)
    near = tl.fma(x * square, series, x)
    far = 1.0 - 2.0 / (1.0 + power_of_two(x * (2.0 * _LOG2_E)))
    return tl.where(tl.abs(x) < 0.4, near, far)


@triton.jit
def join_pairs(even, odd, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """The reverse of :func:`split_pairs`."""
    return tl.reshape(tl.join(even, odd), (ROWS, COLUMNS))


@triton.jit
def join_row(even, odd, COLUMNS: tl.constexpr):
    """The reverse of :func:`split_row`."""
    return tl.reshape(tl.join(even, odd), (COLUMNS,))


@triton.jit
def quarter_slope(ratio):
    """``r - r^2``, a quarter of ``1 - tanh^2``."""
    return tl.fma(-ratio, ratio, ratio)
