// For each query and each row of a source, a sum over the units of a term of the two: scores and products of rows.
#pragma once

#include "common/score.h"
#include "cuda/storage.h"
#include "cuda/warp.h"

namespace seq2seq_fast {

// The terms. `pair` takes two units at once; v scales a unit. A score is -2 times the sum of v r; centred it is the
// score itself, else the score without its constant sum(v), which a softmax does not see.
template <bool centred>
struct ExponentialTerm {
  static __device__ __forceinline__ float single(float query, float key, float v) {
    const float r = fast_reciprocal(exponential_denominator(query, key));
    return v * (centred ? r - 0.5f : r);
  }
  static __device__ __forceinline__ float pair(const float* query, float key0, float key1, const float* v) {
    const float sum =
        sum_of_ratios(v[0], exponential_denominator(query[0], key0), v[1], exponential_denominator(query[1], key1));
    return centred ? fmaf(-0.5f, v[0] + v[1], sum) : sum;
  }
};

template <bool centred>
struct DirectTerm {
  static __device__ __forceinline__ float single(float query, float key, float v) {
    const float r = fast_reciprocal(direct_denominator(query, key));
    return v * (centred ? r - 0.5f : r);
  }
  static __device__ __forceinline__ float pair(const float* query, float key0, float key1, const float* v) {
    const float sum = sum_of_ratios(v[0], direct_denominator(query[0], key0), v[1], direct_denominator(query[1], key1));
    return centred ? fmaf(-0.5f, v[0] + v[1], sum) : sum;
  }
};

struct ProductTerm {
  static __device__ __forceinline__ float single(float query, float key, float) { return query * key; }
  static __device__ __forceinline__ float pair(const float* query, float key0, float key1, const float*) {
    return fmaf(query[0], key0, query[1] * key1);
  }
};

// Each warp takes P of the rows [first, last) of `rows` [., units] at a time, its lanes the units; `queries`
// [Q, stride] and `v` lie in shared memory, where 16-byte accesses of neighbouring lanes meet in no bank or, for the
// eight numbers of a lane whose rows have 16 bits, in two lanes' at a time; their rows are 16-byte aligned. Lane 0
// calls store(query, row, sum).
template <class Term, int W, int Q, int P, class R, class Store>
__device__ __forceinline__ void row_sums(const R* rows, int64_t units, int64_t first, int64_t last,
                                         const float* queries, int stride, const float* v, Store store) {
  const int lane = int(threadIdx.x) % warp_size;
  const int warps = int(blockDim.x) / warp_size;
  for (int64_t begin = first + int64_t(threadIdx.x) / warp_size * P; begin < last; begin += int64_t(warps) * P) {
    float sums[Q][P] = {};
    const R* row[P];
#pragma unroll
    for (int p = 0; p < P; ++p) row[p] = rows + (begin + p < last ? begin + p : last - 1) * units;
    for (int64_t unit = int64_t(lane) * W; unit < units; unit += warp_size * W) {
      Packed<R, W> keys[P];
#pragma unroll
      for (int p = 0; p < P; ++p) keys[p] = Packed<R, W>::load(row[p] + unit);
      const auto scale = Packed<float, W>::load(v + unit);
#pragma unroll
      for (int q = 0; q < Q; ++q) {
        const auto query = Packed<float, W>::load(queries + q * stride + unit);
#pragma unroll
        for (int p = 0; p < P; ++p) {
          if constexpr (W == 1) {
            sums[q][p] += Term::single(query[0], keys[p][0], scale[0]);
          } else {
#pragma unroll
            for (int i = 0; i < W; i += 2)
              sums[q][p] += Term::pair(query.items + i, keys[p][i], keys[p][i + 1], scale.items + i);
          }
        }
      }
    }
#pragma unroll
    for (int q = 0; q < Q; ++q)
#pragma unroll
      for (int p = 0; p < P; ++p) {
        const float sum = warp_sum(sums[q][p]);
        if (lane == 0 && begin + p < last) store(q, begin + p, sum);
      }
  }
}

}  // namespace seq2seq_fast
