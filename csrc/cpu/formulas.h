// The formulas of csrc/common on vectors: there they find the elementary functions that are declared here before them.
#pragma once

#include "common/host_device.h"
#include "vec.h"

namespace seq2seq_fast {

using cpu::exponential;
using cpu::tanh;

template <typename A>
SEQ2SEQ_FAST_INLINE cpu::Vec<A> quotient(const cpu::Vec<A>& a, const cpu::Vec<A>& b) {
  return a / b;
}

// Of 1 + e^2x: in double the product of two is finite in the whole range.
template <typename A>
SEQ2SEQ_FAST_INLINE cpu::Vec<A> capped(const cpu::Vec<A>& denominator) {
  if constexpr (std::is_same_v<A, float>) {
    return at::vec::clamp_max(denominator, cpu::Vec<A>(largest_denominator));
  } else {
    return denominator;
  }
}

// Cut off so that the product of two is finite.
template <typename A>
SEQ2SEQ_FAST_INLINE cpu::Vec<A> fast_squared_exponential(const cpu::Vec<A>& x) {
  return cpu::exponential(x + x, cpu::Exponential<A>::kHighest / 2);
}

}  // namespace seq2seq_fast

#include "common/cells.h"
#include "common/score.h"

namespace seq2seq_fast::cpu {

// v0 / d0 + v1 / d1 with one division, for v of any size.
template <typename A>
SEQ2SEQ_FAST_INLINE Vec<A> sum_of_large_ratios(const Vec<A>& v0, const Vec<A>& d0, const Vec<A>& v1, const Vec<A>& d1) {
  const Reciprocals<Vec<A>> r = two_reciprocals(d0, d1);
  return at::vec::fmadd(v0, r.first, v1 * r.second);
}

}  // namespace seq2seq_fast::cpu
