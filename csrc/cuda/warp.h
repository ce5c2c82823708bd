// Sums and maxima over a warp; every lane gets the result.
#pragma once

#include <cuda_runtime.h>

namespace seq2seq_fast {

constexpr int warp_size = 32;
constexpr unsigned every_lane = 0xFFFFFFFF;

__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(every_lane, x, distance);
  return x;
}

__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) x = fmaxf(x, __shfl_xor_sync(every_lane, x, distance));
  return x;
}

}  // namespace seq2seq_fast
