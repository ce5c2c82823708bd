// What the decoder's reversed recurrence in one launch works on, and how it lies in shared memory;
// seq2seq_fast/cuda_kernels/plan_backward.py counts the same bytes.
#pragma once

#include "cuda/decoder_resident.h"

namespace seq2seq_fast {

// A block holds `rows` columns of the stacked weights [A + G H, H] over one of `parts` of their depth.
struct ReversedShape {
  int64_t batch, target, positions, units, hidden, gates;
  int rows, parts;
  bool keys_resident;

  __host__ __device__ int64_t stacked() const { return units + gates * hidden; }
  __host__ __device__ int64_t part() const { return round_up(ceil_div(stacked(), parts), product_depth); }
  __host__ __device__ ProductShape product() const { return {batch, part(), hidden, rows}; }
  __host__ __device__ int64_t padded_batch() const { return round_up(batch, product_rows); }
};

// Distance between the gradients of the products of two sources; zeros where a part is not full.
template <class T>
__host__ __device__ constexpr int64_t reversed_stride(const ReversedShape& s) {
  return product_stride<T>(s.parts * s.part());
}

// Threads side by side on the units of a query, W of them each.
template <int W>
__host__ __device__ constexpr int unit_threads(const ReversedShape& s) {
  return column_threads(ceil_div(s.units, W), decoder_threads);
}

// Offsets in bytes, all multiples of 16. The products' sums lie where attention has its own at other times.
template <class T>
struct ReversedLayout {
  int64_t keys, query, v, scores, gates, meeting, bytes;

  __host__ __device__ explicit ReversedLayout(const ReversedShape& s) {
    const int64_t stride = query_stride(s.units);
    keys = s.rows * product_stride<T>(s.part()) * int64_t(sizeof(T));
    query = keys + (s.keys_resident ? s.positions * s.units * int64_t(sizeof(T)) : 0);
    v = query + stride * 4;
    scores = v + stride * 4;
    gates = scores + round_up(s.positions, 4) * 4;
    meeting = gates + s.gates * s.hidden * 4;
    constexpr int W = vector_width<T>;
    const int64_t attention = meeting + (unit_threads<W>(s) < decoder_threads ? decoder_threads * W * 4 : 0);
    const int64_t product = query + s.product().bytes();
    bytes = attention > product ? attention : product;
  }
};

template <class T>
struct ReversedDecoder {
  ReversedShape shape;
  AttentionSource<T> source;        // no exponentials
  const T *transposed, *v;          // [H, A + G H], [A]
  const T* projected;               // [B, Tx, G H]
  const float* state_mask;          // [B, H] or null
  const float* grad_states;         // [Ty, B, H]
  const float* grad_weights;        // [Ty, B, Tx], all that reaches the weights past the gates
  const float *previous, *cells;    // [Ty, B, H]: a GRU's masked state or an LSTM's cell before; its new cell
  const float* activations;         // [Ty, B, saved_of(G) H]
  const float *weights, *queries;   // [Ty, B, Tx], [Ty, B, A]
  float *grad_gates, *grad_scores;  // [Ty, B, G H], [Ty, B, Tx]
  T* grad_product;                  // [Ty, padded B, stride], exchanged; zero at first
  float* partial;                   // [parts, B, H], exchanged; zero at first: the gradient of the state, in parts
  float* through;                   // [B, H]: of a GRU's state past the gates, of an LSTM's cell

  // The gradient that the later step gives the state.
  __device__ __forceinline__ float carried(int64_t i) const {
    float sum = shape.gates == 3 ? through[i] : 0.0f;
    for (int part = 0; part < shape.parts; ++part) sum += partial[part * shape.batch * shape.hidden + i];
    return state_mask == nullptr ? sum : sum * state_mask[i];
  }
};

}  // namespace seq2seq_fast
