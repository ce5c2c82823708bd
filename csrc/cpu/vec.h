// A thin layer over at::vec: vectors of the accumulation type, loaded from and stored to any floating point type, with
// the last, partial vector of a row written like the others, and the few functions that the kernels take of vectors.
#pragma once

#include <ATen/cpu/vec/vec.h>
#include <torch/headeronly/util/BFloat16.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#define SEQ2SEQ_FAST_LAMBDA __attribute__((always_inline))
#define SEQ2SEQ_FAST_INLINE inline SEQ2SEQ_FAST_LAMBDA

namespace seq2seq_fast::cpu {

// The type in which a kernel adds: double for double, float for everything narrower.
template <typename T>
using accumulation_t = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <typename A>
using Vec = at::vec::Vectorized<A>;

template <typename A>
inline constexpr int64_t kLanes = Vec<A>::size();

// Which lanes of a vector are in memory: all of them, or the first few. Loads fill the other lanes with zeros.
struct Whole {};
struct Part {
  int64_t count;
};

template <typename T>
SEQ2SEQ_FAST_INLINE Vec<accumulation_t<T>> load(const T* from, Whole) {
  if constexpr (std::is_same_v<T, accumulation_t<T>>) {
    return Vec<T>::loadu(from);
  } else {
    Vec<float> result;
    if constexpr (std::is_same_v<T, torch::headeronly::BFloat16>) {
      at::vec::load_fp32_from_bf16(from, result);
    } else {
      at::vec::load_fp32_from_fp16(from, result);
    }
    return result;
  }
}

template <typename T>
SEQ2SEQ_FAST_INLINE Vec<accumulation_t<T>> load(const T* from, Part part) {
  if constexpr (std::is_same_v<T, accumulation_t<T>>) {
    return Vec<T>::loadu(from, part.count);
  } else {
    T lanes[kLanes<float>] = {};
    std::copy_n(from, part.count, lanes);
    return load(lanes, Whole{});
  }
}

template <typename T>
SEQ2SEQ_FAST_INLINE void store(T* to, const Vec<accumulation_t<T>>& lanes, Part part) {
  if constexpr (std::is_same_v<T, accumulation_t<T>>) {
    lanes.store(to, part.count);
  } else if constexpr (std::is_same_v<T, torch::headeronly::BFloat16>) {
    at::vec::convert_float_bfloat16(lanes, lanes).store(to, part.count);
  } else {
    at::vec::convert_float_half(lanes, lanes).store(to, part.count);
  }
}

template <typename T>
SEQ2SEQ_FAST_INLINE void store(T* to, const Vec<accumulation_t<T>>& lanes, Whole) {
  if constexpr (std::is_same_v<T, accumulation_t<T>>) {
    lanes.store(to);
  } else {
    store(to, lanes, Part{kLanes<float>});
  }
}

// body(offset, Whole{}) for each whole vector of a row of `size` elements, then body(offset, Part{rest}).
template <typename A, typename Body>
SEQ2SEQ_FAST_INLINE void for_each_vector(int64_t size, const Body& body) {
  int64_t offset = 0;
  for (; offset + kLanes<A> <= size; offset += kLanes<A>) {
    body(offset, Whole{});
  }
  if (offset < size) {
    body(offset, Part{size - offset});
  }
}

// The same, with line(offset) once a cache line of A before its vectors.
template <typename A, typename Line, typename Body>
SEQ2SEQ_FAST_INLINE void for_each_vector_of_line(int64_t size, const Line& line, const Body& body) {
  constexpr int64_t kLine = std::max<int64_t>(64 / sizeof(A), kLanes<A>);
  int64_t offset = 0;
  for (; offset + kLine <= size; offset += kLine) {
    line(offset);
    for (int64_t part = 0; part < kLine; part += kLanes<A>) {
      body(offset + part, Whole{});
    }
  }
  for_each_vector<A>(size - offset, [&](int64_t rest, auto lanes) SEQ2SEQ_FAST_LAMBDA { body(offset + rest, lanes); });
}

// Adds the lanes, always in the same order.
template <typename A>
SEQ2SEQ_FAST_INLINE A sum_of_lanes(const Vec<A>& lanes) {
#if defined(CPU_CAPABILITY_AVX512) || defined(CPU_CAPABILITY_AVX2)
  if constexpr (std::is_same_v<A, float>) {
    return lanes.reduce_add();
  }
#endif
  A values[kLanes<A>];
  lanes.store(values);
  A sum = 0;
  for (A value : values) {
    sum += value;
  }
  return sum;
}

// Constants of e^x = 2^n e^f, n = round(x / ln 2), |f| <= ln 2 / 2, with ln 2 in two terms so that f is exact, and
// e^f = 1 + f + f^2 P(f). The float polynomial is that of Cephes (expf), the double one Taylor's, both to 1 ulp.
template <typename A>
struct Exponential;

template <>
struct Exponential<float> {
  using Bits = int32_t;
  static constexpr int kMantissa = 23;
  static constexpr Bits kOne = 0x3F800000;
  static constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves n in the lowest bits
  static constexpr float kLogHigh = 0.693359375f, kLogLow = -2.12194440e-4f;
  static constexpr float kLowest = -87.0f, kHighest = 88.0f;  // where 2^n is a normal number
  static constexpr float kPolynomial[] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                                          4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};
};

template <>
struct Exponential<double> {
  using Bits = int64_t;
  static constexpr int kMantissa = 52;
  static constexpr Bits kOne = 0x3FF0000000000000;
  static constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double kLogHigh = 6.93145751953125e-1, kLogLow = 1.42860682030941723212e-6;
  static constexpr double kLowest = -708.0, kHighest = 709.0;
  static constexpr double kPolynomial[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800,
                                           1.0 / 362880,     1.0 / 40320,     1.0 / 5040,     1.0 / 720,
                                           1.0 / 120,        1.0 / 24,        1.0 / 6,        1.0 / 2};
};

// 2^n from the sum n + kRound.
template <typename A>
SEQ2SEQ_FAST_INLINE Vec<A> power_of_two(const Vec<A>& rounded) {
  using E = Exponential<A>;
#if defined(CPU_CAPABILITY_AVX512)
  if constexpr (std::is_same_v<A, float>) {
    const __m512i shifted = _mm512_slli_epi32(_mm512_castps_si512(rounded), E::kMantissa);
    return _mm512_castsi512_ps(_mm512_add_epi32(shifted, _mm512_set1_epi32(E::kOne)));
  } else {
    const __m512i shifted = _mm512_slli_epi64(_mm512_castpd_si512(rounded), E::kMantissa);
    return _mm512_castsi512_pd(_mm512_add_epi64(shifted, _mm512_set1_epi64(E::kOne)));
  }
#elif defined(CPU_CAPABILITY_AVX2)
  if constexpr (std::is_same_v<A, float>) {
    const __m256i shifted = _mm256_slli_epi32(_mm256_castps_si256(rounded), E::kMantissa);
    return _mm256_castsi256_ps(_mm256_add_epi32(shifted, _mm256_set1_epi32(E::kOne)));
  } else {
    const __m256i shifted = _mm256_slli_epi64(_mm256_castpd_si256(rounded), E::kMantissa);
    return _mm256_castsi256_pd(_mm256_add_epi64(shifted, _mm256_set1_epi64x(E::kOne)));
  }
#else
  using Unsigned = std::make_unsigned_t<typename E::Bits>;
  A lanes[kLanes<A>];
  rounded.store(lanes);
  for (A& lane : lanes) {
    lane = std::bit_cast<A>((std::bit_cast<Unsigned>(lane) << E::kMantissa) + static_cast<Unsigned>(E::kOne));
  }
  return Vec<A>::loadu(lanes);
#endif
}

// e^x - 1 as `scale * fraction + (scale - 1)`: the two terms serve e^x and e^x - 1, the latter exact near 0.
template <typename A>
struct ScaledExponential {
  Vec<A> scale;
  Vec<A> fraction;
};

template <typename A>
SEQ2SEQ_FAST_INLINE ScaledExponential<A> scaled_exponential(const Vec<A>& x) {
  using E = Exponential<A>;
  constexpr A kLogarithmOfE = static_cast<A>(1.442695040888963407359924681);
  const Vec<A> rounded = at::vec::fmadd(x, Vec<A>(kLogarithmOfE), Vec<A>(E::kRound));
  const Vec<A> n = rounded - Vec<A>(E::kRound);
  Vec<A> f = at::vec::fnmadd(n, Vec<A>(E::kLogHigh), x);
  f = at::vec::fnmadd(n, Vec<A>(E::kLogLow), f);
  Vec<A> polynomial(E::kPolynomial[0]);
  for (size_t i = 1; i < std::size(E::kPolynomial); ++i) {
    polynomial = at::vec::fmadd(polynomial, f, Vec<A>(E::kPolynomial[i]));
  }
  return {power_of_two<A>(rounded), at::vec::fmadd(f * f, polynomial, f)};
}

// e^x to 1 ulp; x below or above the range of normal numbers gives the nearest end of it, NaN gives NaN.
template <typename A>
SEQ2SEQ_FAST_INLINE Vec<A> exponential(const Vec<A>& x, A highest = Exponential<A>::kHighest) {
  const auto e = scaled_exponential<A>(at::vec::clamp(x, Vec<A>(Exponential<A>::kLowest), Vec<A>(highest)));
  return at::vec::fmadd(e.scale, e.fraction, e.scale);
}

// (e^2x - 1) / (e^2x + 1) with a relative error of a few ulp everywhere; NaN gives NaN.
template <typename A>
SEQ2SEQ_FAST_INLINE Vec<A> tanh(const Vec<A>& x) {
  const Vec<A> bound(20);  // tanh(20) rounds to 1 in double
  const auto e = scaled_exponential<A>(at::vec::clamp(x + x, bound.neg() - bound, bound + bound));
  const Vec<A> below = at::vec::fmadd(e.scale, e.fraction, e.scale - Vec<A>(1));
  return below / (below + Vec<A>(2));
}

}  // namespace seq2seq_fast::cpu
