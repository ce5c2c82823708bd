// What the attention kernels read of a source, and which form of tanh serves it.
#pragma once

#include "cuda/launch.h"
#include "cuda/row_sums.h"

namespace seq2seq_fast {

constexpr int attention_threads = 256;

template <class T>
struct AttentionSource {
  const T* keys;              // [B, Tx, A]
  const float* exponentials;  // [B, Tx, A], e^(2 keys)
  const bool* in_range;       // [B], all |keys| <= 40
  const int64_t* lengths;     // [B] or null
  const bool* mask;           // [B, Tx] or null
  int64_t positions, units;   // Tx, A

  // Lengths are not read on the host, so what is out of bounds is clamped here.
  __device__ __forceinline__ int64_t length(int64_t b) const {
    if (lengths == nullptr) return positions;
    const int64_t length = lengths[b];
    return length < 0 ? 0 : length > positions ? positions : length;
  }

  __device__ __forceinline__ bool attended(int64_t b, int64_t position) const {
    return position < length(b) && (mask == nullptr || mask[b * positions + position]);
  }
};

// Shared memory of Q queries and v, each row `stride` floats.
__host__ __device__ constexpr int64_t query_stride(int64_t units) { return round_up(units, 4); }

// Loads Q queries (`query_distance` apart; rows past the last are the last again) and v into shared memory. Where the
// exponential form serves the source and all of these queries, as e^(2q), and the result is true; 16-bit keys are half
// the bytes of their exponentials, so they always take the direct form. Ends with a barrier.
template <int Q, class T>
__device__ __forceinline__ bool load_queries(const AttentionSource<T>& source, const T* query, int64_t query_distance,
                                             int64_t b, int64_t first, int64_t queries, const T* v, float* to,
                                             float* v_to) {
  const int64_t units = source.units, stride = query_stride(units);
  bool exponential = sizeof(T) == 4 && source.in_range[b];
  for (int64_t unit = threadIdx.x; unit < units; unit += blockDim.x) {
    v_to[unit] = to_float(v[unit]);
#pragma unroll
    for (int q = 0; q < Q; ++q) {
      const int64_t row = first + q < queries ? first + q : queries - 1;
      const float x = to_float(query[(b * queries + row) * query_distance + unit]);
      exponential = exponential && in_exponential_range(x);
      to[q * stride + unit] = x;
    }
  }
  exponential = __syncthreads_and(exponential);
  if (exponential) {
    for (int64_t unit = threadIdx.x; unit < units; unit += blockDim.x)
#pragma unroll
      for (int q = 0; q < Q; ++q) to[q * stride + unit] = squared_exponential(to[q * stride + unit]);
    __syncthreads();
  }
  return exponential;
}

// store(query, position, sum of v r) for positions [first, last) of source b and the queries in shared memory.
template <bool centred, int W, int Q, int P, class T, class Store>
__device__ __forceinline__ void score_rows(const AttentionSource<T>& source, int64_t b, int64_t first, int64_t last,
                                           bool exponential, const float* queries, const float* v, Store store) {
  const int64_t offset = b * source.positions * source.units;
  const int stride = int(query_stride(source.units));
  if constexpr (sizeof(T) == 4) {
    if (exponential) {
      row_sums<ExponentialTerm<centred>, W, Q, P>(source.exponentials + offset, source.units, first, last, queries,
                                                  stride, v, store);
      return;
    }
  }
  row_sums<DirectTerm<centred>, W, Q, P>(source.keys + offset, source.units, first, last, queries, stride, v, store);
}

}  // namespace seq2seq_fast
