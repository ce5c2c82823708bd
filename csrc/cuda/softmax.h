// The softmax of a row of scores in shared memory, and the sum of values that it weighs.
#pragma once

#include "common/host_device.h"
#include "cuda/storage.h"
#include "cuda/warp.h"

namespace seq2seq_fast {

struct Softmax {
  float maximum, sum;

  __device__ __forceinline__ float scale() const { return sum == 0.0f ? 0.0f : 1.0f / sum; }
};

// By one warp: the scores become e^(score - maximum).
__device__ __forceinline__ Softmax exponentiate(float* scores, int count) {
  const int lane = int(threadIdx.x) % warp_size;
  float maximum = -INFINITY;
  for (int i = lane; i < count; i += warp_size) maximum = fmaxf(maximum, scores[i]);
  maximum = warp_max(maximum);
  const float shift = maximum == -INFINITY ? 0.0f : maximum;
  float sum = 0.0f;
  for (int i = lane; i < count; i += warp_size) {
    const float e = fast_exp(scores[i] - shift);
    scores[i] = e;
    sum += e;
  }
  return {maximum, warp_sum(sum)};
}

// By one warp: store(i, w_i (g_i - sum_j w_j g_j)), the gradient of a row's scores from that of its weights, for all of
// its positions, of which at most the first `count` are attended; zero for the others. The gradients are taken relative
// to that of the largest weight: where one weight is nearly 1 its score's gradient is the small difference that would
// otherwise be lost. `grads` may be what `store` writes.
template <class Attended, class Store>
__device__ __forceinline__ void softmax_gradient(const float* weights, const float* grads, int64_t count,
                                                 int64_t positions, Attended attended, Store store) {
  const int lane = int(threadIdx.x) % warp_size;
  float largest = -1.0f, reference = 0.0f;  // the largest weight, and the gradient of it
  for (int64_t i = lane; i < count; i += warp_size)
    if (attended(i) && weights[i] > largest) {
      largest = weights[i];
      reference = grads[i];
    }
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    const float other = __shfl_xor_sync(every_lane, largest, distance);
    const float of_other = __shfl_xor_sync(every_lane, reference, distance);
    if (other > largest || (other == largest && of_other < reference)) {
      largest = other;
      reference = of_other;
    }
  }
  float sum = 0.0f;
  for (int64_t i = lane; i < count; i += warp_size)
    if (attended(i)) sum = fmaf(weights[i], grads[i] - reference, sum);
  sum = warp_sum(sum);
  for (int64_t i = lane; i < positions; i += warp_size)
    store(i, attended(i) ? weights[i] * (grads[i] - reference - sum) : 0.0f);
}

// The power of two of threads that covers the columns of a row, at most all of them.
__host__ __device__ constexpr int column_threads(int64_t columns, int threads) {
  int covering = 1;
  while (covering < columns && covering < threads) covering *= 2;
  return covering;
}

// The weighted sum over the rows of a matrix, `size` columns in rows `distance` apart, of what converter(column)
// (numbers, floats) makes of W numbers, for Q rows of weights `stride` apart: threads (x: W columns, y: rows in turn);
// the sums of y meet in shared memory. place(column) is where a column stands in its row; store(q, column, sums) gets W
// of them.
template <class T, int W, int Q, class Place, class Converter, class Store>
__device__ __forceinline__ void sum_converted(const T* values, int64_t distance, int64_t size, int count,
                                              const float* weights, int stride, int columns, float* meeting,
                                              Place place, Converter converter, Store store) {
  const int x = int(threadIdx.x) % columns, y = int(threadIdx.x) / columns, rows = int(blockDim.x) / columns;
  for (int64_t first = 0; first < size; first += int64_t(columns) * W) {
    const int64_t column = first + int64_t(x) * W;
    float sums[Q][W] = {};
    if (column < size) {
      const T* from = values + place(column);
      const auto convert = converter(column);
#pragma unroll 4
      for (int i = y; i < count; i += rows) {
        float value[W];
        convert(Packed<T, W>::load(from + i * distance), value);
#pragma unroll
        for (int q = 0; q < Q; ++q) {
          const float weight = weights[q * stride + i];
#pragma unroll
          for (int w = 0; w < W; ++w) sums[q][w] = fmaf(weight, value[w], sums[q][w]);
        }
      }
    }
    for (int q = 0; q < Q; ++q) {
      if (rows > 1) {
        __syncthreads();
#pragma unroll
        for (int w = 0; w < W; ++w) meeting[w * int(blockDim.x) + int(threadIdx.x)] = sums[q][w];
        __syncthreads();
        if (y == 0)
          for (int other = 1; other < rows; ++other)
#pragma unroll
            for (int w = 0; w < W; ++w) sums[q][w] += meeting[w * int(blockDim.x) + other * columns + x];
      }
      if (y == 0 && column < size) store(q, column, sums[q]);
    }
  }
}

// The weighted sum of the values themselves.
template <class T, int W, int Q, class Place, class Store>
__device__ __forceinline__ void sum_values(const T* values, int64_t distance, int64_t size, int count,
                                           const float* weights, int stride, int columns, float* meeting, Place place,
                                           Store store) {
  sum_converted<T, W, Q>(
      values, distance, size, count, weights, stride, columns, meeting, place,
      [](int64_t) {
        return [](const Packed<T, W>& numbers, float (&floats)[W]) {
#pragma unroll
          for (int w = 0; w < W; ++w) floats[w] = numbers[w];
        };
      },
      store);
}

}  // namespace seq2seq_fast
