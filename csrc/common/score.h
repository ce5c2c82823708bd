// tanh without tanh: with r = 1 / (1 + e^(2q) e^(2k)), tanh(q + k) = 1 - 2 r and its derivative is 4 r (1 - r).
#pragma once

#include "common/host_device.h"

namespace seq2seq_fast {

// Beyond it e^(2q) or e^(2k) could overflow or underflow, and their product be wrong.
constexpr float exponential_range = 40.0f;

HOST_DEVICE bool in_exponential_range(float x) { return fabsf(x) <= exponential_range; }

// e^(2x) is taken once a query or key, and well: 2x is exact.
HOST_DEVICE float squared_exponential(float x) { return expf(2.0f * x); }

// Beyond 2^60 r is below float32's notice, and two such denominators can still be multiplied. NaN passes.
HOST_DEVICE float capped_denominator(float d) {
  constexpr float limit = 1152921504606846976.0f;
  return d > limit ? limit : d;
}

// 1 / r from e^(2q) and e^(2k), both in range.
HOST_DEVICE float exponential_denominator(float query, float key) { return capped_denominator(fmaf(query, key, 1.0f)); }

// 1 / r from q and k of any size.
HOST_DEVICE float direct_denominator(float query, float key) {
  constexpr float two_log2_e = 2.88539008f;
  return capped_denominator(1.0f + fast_exp2(two_log2_e * (query + key)));
}

// v0 / d0 + v1 / d1 with one division.
HOST_DEVICE float sum_of_ratios(float v0, float d0, float v1, float d1) {
  return fmaf(v0, d1, v1 * d0) * fast_reciprocal(d0 * d1);
}

struct Reciprocals {
  float first, second;
};

// 1 / d0 and 1 / d1 with one division.
HOST_DEVICE Reciprocals two_reciprocals(float d0, float d1) {
  const float both = fast_reciprocal(d0 * d1);
  return {both * d1, both * d0};
}

}  // namespace seq2seq_fast
