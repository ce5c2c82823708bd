// What the decoder in one launch works on, and the first phase of its steps: the state times weights that stay in
// shared memory.
#pragma once

#include "cuda/decoder_resident.h"

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
  float *cells, *activations;      // [Ty, B, H] for an LSTM, [Ty, B, saved_of(G) H]
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
  load_rows(s.product(), a.stacked, s.hidden, int64_t(blockIdx.x) * s.rows, shared.weights);
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
  multiply_resident(s.product(), a.exchanged, product_stride<T>(s.hidden), shared.weights, int64_t(blockIdx.x) * s.rows,
                    shared.partial, [&](int64_t b, int64_t row, float sum) {
                      sum += a.bias[row];
                      if (row < s.units)
                        a.queries[(step * s.batch + b) * s.units + row] = sum;
                      else
                        a.recurrent[b * s.gates * s.hidden + row - s.units] = sum;
                    });
}

}  // namespace seq2seq_fast
