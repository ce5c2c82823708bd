// Products of 16 rows with 8 rows by one warp: tensor cores for 16-bit numbers, multiply-adds for float.
#pragma once

#include <type_traits>

#include "cuda/storage.h"
#include "cuda/warp.h"

namespace seq2seq_fast {

constexpr int product_rows = 16, product_columns = 8, product_depth = 32;

// Distance between rows of operands: zeros fill up the depth, and 16-byte accesses to shared memory by the lanes below
// meet in no bank.
template <class T>
__host__ __device__ constexpr int64_t product_stride(int64_t depth) {
  const int64_t full = (depth + product_depth - 1) / product_depth * product_depth;
  if (sizeof(T) == 4) return full + 4;
  return full % (2 * product_depth) == 0 ? full + product_depth : full;
}

// sums += a b^T for a [16, 16] and b [8, 16], as mma.sync.m16n8k16 spreads them: with group g = lane / 4 and t = lane %
// 4, a holds (g, 2t..), (g + 8, 2t..), (g, 2t + 8..), (g + 8, 2t + 8..), b holds (g, 2t..), (g, 2t + 8..), two numbers
// a register, and sums (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).
// Devices without the instruction, which nvcc compiles for unless it is told otherwise, get the host's twin.
template <class T>
__device__ __forceinline__ void tensor_core_product(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  if constexpr (std::is_same_v<T, Half>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
#else
  const auto number = [](uint64_t bits, int i) {
    const uint16_t half = uint16_t(bits >> 16 * i);
    T stored;
    memcpy(&stored, &half, sizeof stored);
    return to_float(stored);
  };
  const int lane = int(threadIdx.x) % warp_size, group = lane / 4, t = lane % 4;
  const uint64_t upper = a[0] | uint64_t(a[2]) << 32, lower = a[1] | uint64_t(a[3]) << 32;
  const uint64_t right = b[0] | uint64_t(b[1]) << 32;
  for (int from = 0; from < 4; ++from) {
    const uint64_t rows[2] = {__shfl_sync(every_lane, upper, 4 * group + from),
                              __shfl_sync(every_lane, lower, 4 * group + from)};
    const uint64_t columns[2] = {__shfl_sync(every_lane, right, 8 * t + from),
                                 __shfl_sync(every_lane, right, 8 * t + 4 + from)};
    for (int i = 0; i < 4; ++i)
      for (int sum = 0; sum < 4; ++sum) sums[sum] += number(rows[sum / 2], i) * number(columns[sum % 2], i);
  }
#endif
}

// sums[n] += a b^T over `depth` numbers from `first`, both multiples of product_depth: a is 16 rows, b is 8 rows for
// each n < tiles, a_stride and b_stride apart. Lane 4 g + t gets (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1) of
// n.
template <int most_tiles, class T>
__device__ __forceinline__ void warp_product(float (&sums)[most_tiles][4], const T* a, int64_t a_stride, const T* b,
                                             int64_t b_stride, int tiles, int first, int depth) {
  const int lane = int(threadIdx.x) % warp_size, group = lane / 4, t = lane % 4;
  if constexpr (sizeof(T) == 2) {
    // The order of the depth is free as long as it is the same on both sides: a lane takes eight numbers in a row.
    const T* upper = a + group * a_stride + 8 * t;
    const T* right = b + group * b_stride + 8 * t;
    for (int k = first; k < first + depth; k += product_depth) {
      const uint4 x = *reinterpret_cast<const uint4*>(upper + k);
      const uint4 y = *reinterpret_cast<const uint4*>(upper + 8 * a_stride + k);
      const uint32_t left[2][4] = {{x.x, y.x, x.y, y.y}, {x.z, y.z, x.w, y.w}};
#pragma unroll
      for (int n = 0; n < most_tiles; ++n) {
        if (n >= tiles) break;
        const uint4 w = *reinterpret_cast<const uint4*>(right + n * product_columns * b_stride + k);
        const uint32_t both[2][2] = {{w.x, w.y}, {w.z, w.w}};
        tensor_core_product<T>(sums[n], left[0], both[0]);
        tensor_core_product<T>(sums[n], left[1], both[1]);
      }
    }
  } else {
    const T* upper = a + group * a_stride;
    const T* right = b + 2 * t * b_stride;
    for (int k = first; k < first + depth; k += 4) {
      const auto x = Packed<T, 4>::load(upper + k), y = Packed<T, 4>::load(upper + 8 * a_stride + k);
#pragma unroll
      for (int n = 0; n < most_tiles; ++n) {
        if (n >= tiles) break;
        const T* at = right + n * product_columns * b_stride + k;
        const auto v = Packed<T, 4>::load(at), w = Packed<T, 4>::load(at + b_stride);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          sums[n][0] = fmaf(x[i], v[i], sums[n][0]);
          sums[n][1] = fmaf(x[i], w[i], sums[n][1]);
          sums[n][2] = fmaf(y[i], v[i], sums[n][2]);
          sums[n][3] = fmaf(y[i], w[i], sums[n][3]);
        }
      }
    }
  }
}

}  // namespace seq2seq_fast
