// tanh without tanh: with r = 1 / (1 + e^2q e^2k), tanh(q + k) = 1 - 2 r and its derivative is 4 r (1 - r).
#pragma once

#include "common/host_device.h"

namespace seq2seq_fast {

// Beyond it e^2q or e^2k could overflow or underflow, and their product be wrong.
constexpr float exponential_range = 40.0f;

template <class A>
HOST_DEVICE bool in_exponential_range(A x) {
  return fabs(x) <= exponential_range;  // not for NaN
}

// e^2x is taken once a query or key, and well: 2x is exact.
template <class N>
HOST_DEVICE N squared_exponential(const N& x) {
  return exponential(x + x);
}

// 1 / r from e^2q and e^2k, both in range.
template <class N>
HOST_DEVICE N exponential_denominator(const N& query, const N& key) {
  return capped(fmadd(query, key, N(1)));
}

// 1 / r from q and k of any size.
template <class N>
HOST_DEVICE N direct_denominator(const N& query, const N& key) {
  return capped(N(1) + fast_squared_exponential(query + key));
}

// v0 / d0 + v1 / d1 with one division; v d must not overflow.
template <class N>
HOST_DEVICE N sum_of_ratios(const N& v0, const N& d0, const N& v1, const N& d1) {
  return quotient(fmadd(v0, d1, v1 * d0), d0 * d1);
}

template <class N>
struct Reciprocals {
  N first, second;
};

// 1 / d0 and 1 / d1 with one division.
template <class N>
HOST_DEVICE Reciprocals<N> two_reciprocals(const N& d0, const N& d1) {
  const N both = quotient(N(1), d0 * d1);
  return {both * d1, both * d0};
}

// A quarter of tanh's derivative.
template <class N>
HOST_DEVICE N slope(const N& r) {
  return fnmadd(r, r, r);
}

}  // namespace seq2seq_fast
