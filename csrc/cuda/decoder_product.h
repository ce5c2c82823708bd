// What the decoder in one launch works on, and the first phase of its steps: the state times weights that stay in
// shared memory.
#pragma once

#include "cuda/decoder_layout.h"

namespace seq2seq_fast {

template <class T>
struct Decoder {
  DecoderShape shape;
  AttentionSource<T> source;
  const T *stacked, *v;            // [A + G H, H], [A]
  const float* bias;               // [A + G H]
  const T* gates_input;            // [Ty, B, G H]
  const T* projected;              // [B, Tx, G H], values times the context's weights
  const float *state_mask, *cell;  // [B, H] or null, [B, H] for an LSTM, else null
  const void* state;               // [B, H]
  void* states;                    // [Ty, B, H]
  bool state_is_float;             // else of T
  float *weights, *queries;        // [Ty, B, Tx], [Ty, B, A]
  float *cells, *activations;      // [Ty, B, H] for an LSTM, [Ty, B, 4 H]
  float* recurrent;                // [B, G H], exchanged
  T* exchanged;                    // [round_up(B, 16), product_stride(H)], the masked state; zero beyond B and H

  __device__ float load_state(const void* from, int64_t i) const {
    return state_is_float ? static_cast<const float*>(from)[i] : to_float(static_cast<const T*>(from)[i]);
  }
  __device__ float round_state(float x) const { return state_is_float ? x : to_float(from_float<T>(x)); }
  __device__ void store_state(int64_t i, float x) const {
    if (state_is_float)
      static_cast<float*>(states)[i] = x;
    else
      static_cast<T*>(states)[i] = from_float<T>(x);
  }
  // The state as a step reads it.
  __device__ float masked(float x, int64_t i) const {
    return state_mask == nullptr ? x : round_state(x * state_mask[i]);
  }
};

template <class T>
struct SharedMemory {
  T *weights, *keys;
  float *query, *v, *scores, *softmax, *meeting, *gates, *partial;

  __device__ explicit SharedMemory(const DecoderShape& shape) {
    const DecoderLayout<T> layout(shape);
    char* base = reinterpret_cast<char*>(shared_memory());
    const auto floats = [base](int64_t offset) { return reinterpret_cast<float*>(base + offset); };
    weights = reinterpret_cast<T*>(base);
    keys = reinterpret_cast<T*>(base + layout.keys);
    query = floats(layout.query);
    v = floats(layout.v);
    scores = floats(layout.scores);
    softmax = floats(layout.softmax);
    meeting = floats(layout.meeting);
    gates = floats(layout.gates);
    partial = floats(layout.partial);
  }
};

// The block's rows of the weights, and its source's keys where they stay; float keys as their exponentials where the
// source is in range.
template <class T>
__device__ __forceinline__ void load_resident(const Decoder<T>& a, const SharedMemory<T>& shared) {
  const DecoderShape& s = a.shape;
  const int64_t stride = product_stride<T>(s.hidden), first = int64_t(blockIdx.x) * s.rows;
  for (int64_t i = threadIdx.x; i < s.rows * stride; i += blockDim.x) {
    const int64_t row = first + i / stride, column = i % stride;
    shared.weights[i] =
        row < s.stacked() && column < s.hidden ? a.stacked[row * s.hidden + column] : from_float<T>(0.0f);
  }
  if (!s.keys_resident || blockIdx.x >= s.items()) return;
  const int64_t b = blockIdx.x / s.slices, count = s.positions * s.units;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) {
    if constexpr (sizeof(T) == 4)
      shared.keys[i] = (a.source.in_range[b] ? a.source.exponentials : a.source.keys)[b * count + i];
    else
      shared.keys[i] = a.source.keys[b * count + i];
  }
}

// The product of the exchanged state with the block's rows of the weights, and the bias: queries and recurrent gates.
template <class T>
__device__ __forceinline__ void multiply_state(const Decoder<T>& a, const SharedMemory<T>& shared, int64_t step) {
  const DecoderShape& s = a.shape;
  const int64_t stride = product_stride<T>(s.hidden), first_row = int64_t(blockIdx.x) * s.rows;
  if (first_row >= s.stacked()) return;
  const int warp = int(threadIdx.x) / warp_size, lane = int(threadIdx.x) % warp_size;
  const int at_once = s.tiles_at_once(), splits = s.depth_splits(), columns = s.columns_at_once();
  const int depth = int(ceil_div(s.hidden, product_depth));
  for (int first_tile = 0; first_tile < s.row_tiles(); first_tile += at_once)
    for (int first_column = 0; first_column < s.rows; first_column += columns) {
      const int left = s.rows - first_column, tiles = (left < columns ? left : columns) / product_columns;
      const int tile = first_tile + warp % at_once, split = warp / at_once;
      if (split < splits && tile < s.row_tiles()) {
        float sums[most_product_tiles][4] = {};
        const int begin = depth * split / splits, end = depth * (split + 1) / splits;
        warp_product(sums, a.exchanged + int64_t(tile) * product_rows * stride,
                     shared.weights + int64_t(first_column) * stride, stride, tiles, begin * product_depth,
                     (end - begin) * product_depth);
        float* to = shared.partial + (int64_t(warp) * product_rows + lane / 4) * columns + lane % 4 * 2;
#pragma unroll
        for (int n = 0; n < most_product_tiles; ++n) {
          if (n >= tiles) break;
          to[n * product_columns] = sums[n][0];
          to[n * product_columns + 1] = sums[n][1];
          to[8 * columns + n * product_columns] = sums[n][2];
          to[8 * columns + n * product_columns + 1] = sums[n][3];
        }
      }
      __syncthreads();
      const int width = tiles * product_columns;
      for (int i = int(threadIdx.x); i < at_once * product_rows * width; i += int(blockDim.x)) {
        const int64_t b = int64_t(first_tile) * product_rows + i / width, row = first_row + first_column + i % width;
        if (b >= s.batch || row >= s.stacked()) continue;
        float sum = a.bias[row];
        for (int split_of = 0; split_of < splits; ++split_of)
          sum += shared.partial[(int64_t(split_of) * at_once * product_rows + i / width) * columns + i % width];
        if (row < s.units)
          a.queries[(step * s.batch + b) * s.units + row] = sum;
        else
          a.recurrent[b * s.gates * s.hidden + row - s.units] = sum;
      }
      __syncthreads();
    }
}

}  // namespace seq2seq_fast
