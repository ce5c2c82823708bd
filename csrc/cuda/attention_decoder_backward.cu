// The decoder's reversed recurrence in one launch, with only what the earlier step needs. The stacked weights of query
// and gates stay in shared memory. A step is two phases with a barrier of the grid behind each: a source at a time, the
// cell's gradients, through the projected values to the attention weights, through softmax and scores to the query;
// then the product of the gradients of query and gates with the weights, in parts of its depth that different blocks
// take. What blocks exchange is never read through the read-only cache.
#include <cooperative_groups.h>

#include "common/cells.h"
#include "cuda/decoder_reversed.h"
#include "cuda/launchers.h"

namespace seq2seq_fast {
namespace {

template <class T>
struct ReversedMemory {
  T *weights, *keys;
  float *query, *v, *scores, *gates, *meeting;

  __device__ explicit ReversedMemory(const ReversedShape& shape) {
    const ReversedLayout<T> layout(shape);
    char* base = reinterpret_cast<char*>(shared_memory());
    const auto floats = [base](int64_t offset) { return reinterpret_cast<float*>(base + offset); };
    weights = reinterpret_cast<T*>(base);
    keys = reinterpret_cast<T*>(base + layout.keys);
    query = floats(layout.query);
    v = floats(layout.v);
    scores = floats(layout.scores);
    gates = floats(layout.gates);
    meeting = floats(layout.meeting);
  }
};

// Gradients of one unit: of its gates, and of what the state's own product gave them.
template <class T>
__device__ __forceinline__ void retreat_cell(const ReversedDecoder<T>& a, float* gates, int64_t row, int64_t i,
                                             int64_t unit, T* grad_recurrent) {
  const ReversedShape& s = a.shape;
  const int64_t at = row * s.hidden + unit;
  const float grad = a.carried(i) + a.grad_states[at];
  const float* saved = a.activations + row * saved_of(s.gates) * s.hidden + unit;
  float outer[4] = {}, inner[4] = {};
  if (s.gates == 3) {
    const float r = saved[0], z = saved[s.hidden], n = saved[2 * s.hidden];
    const GruGradients gradients = gru_interpolate_backward(grad, z, n, a.previous[at]);
    outer[0] = inner[0] = gradients.candidate * saved[3 * s.hidden] * sigmoid_derivative(r);
    outer[1] = inner[1] = gradients.z * sigmoid_derivative(z);
    outer[2] = gradients.candidate;
    inner[2] = gradients.candidate * r;
    a.through[i] = gradients.hidden;
  } else if (s.gates == 4) {
    const LstmGates<float> active{saved[0], saved[s.hidden], saved[2 * s.hidden], saved[3 * s.hidden]};
    const LstmGradients gradients = lstm_backward(grad, a.through[i], active, a.previous[at], a.cells[at]);
    outer[0] = inner[0] = gradients.gates.i;
    outer[1] = inner[1] = gradients.gates.f;
    outer[2] = inner[2] = gradients.gates.g;
    outer[3] = inner[3] = gradients.gates.o;
    a.through[i] = gradients.cell;
  } else {
    outer[0] = inner[0] = grad * tanh_derivative(saved[0]);
  }
#pragma unroll
  for (int gate = 0; gate < 4; ++gate) {
    if (gate >= s.gates) break;
    const int64_t column = gate * s.hidden + unit;
    gates[column] = outer[gate];
    a.grad_gates[row * s.gates * s.hidden + column] = outer[gate];
    grad_recurrent[column] = from_float<T>(inner[gate]);
  }
}

// The derivative of v tanh(q + k) is 4 v r (1 - r); here r (1 - r) of W keys and the query's numbers beside them.
template <int W>
struct Slopes {
  Packed<float, W> query;

  template <class T>
  __device__ __forceinline__ void operator()(const Packed<T, W>& keys, float (&slopes)[W]) const {
#pragma unroll
    for (int w = 0; w < W; w += 2) {
      const Reciprocals r =
          two_reciprocals(direct_denominator(query[w], keys[w]), direct_denominator(query[w + 1], keys[w + 1]));
      slopes[w] = r.first * (1.0f - r.first);
      slopes[w + 1] = r.second * (1.0f - r.second);
    }
  }
};

// The gradients that one source gives its query and gates.
template <class T>
__device__ __forceinline__ void retreat_source(const ReversedDecoder<T>& a, const ReversedMemory<T>& shared,
                                               int64_t step, int64_t b) {
  // Four rows of float32 are more than the registers hold beside the rest.
  constexpr int W = vector_width<T>, rows_at_once = sizeof(T) == sizeof(float) ? 2 : 4;
  const ReversedShape& s = a.shape;
  const int64_t row = step * s.batch + b, all = s.gates * s.hidden;
  const int count = int(a.source.length(b));
  T* grad_product = a.grad_product + (step * s.padded_batch() + b) * reversed_stride<T>(s);
  for (int64_t unit = threadIdx.x; unit < s.hidden; unit += blockDim.x)
    retreat_cell(a, shared.gates, row, b * s.hidden + unit, unit, grad_product + s.units);
  for (int64_t unit = threadIdx.x; unit < s.units; unit += blockDim.x) {
    shared.query[unit] = a.queries[row * s.units + unit];
    shared.v[unit] = to_float(a.v[unit]);
  }
  __syncthreads();
  row_sums<ProductTerm, W, 1, rows_at_once>(
      a.projected + b * s.positions * all, all, 0, count, shared.gates, 0, shared.gates,
      [&](int, int64_t position, float sum) {
        shared.scores[position] =
            a.source.attended(b, position) ? sum + a.grad_weights[row * s.positions + position] : 0.0f;
      });
  __syncthreads();
  if (threadIdx.x < warp_size)
    softmax_gradient(
        a.weights + row * s.positions, shared.scores, count, s.positions,
        [&](int64_t position) { return a.source.attended(b, position); },
        [&](int64_t position, float of_score) {
          if (position < count) shared.scores[position] = of_score;
          a.grad_scores[row * s.positions + position] = of_score;
        });
  __syncthreads();
  sum_converted<T, W, 1>(
      s.keys_resident ? shared.keys : a.source.keys + b * s.positions * s.units, s.units, s.units, count, shared.scores,
      0, unit_threads<W>(s), shared.meeting, [](int64_t column) { return column; },
      [&](int64_t column) { return Slopes<W>{Packed<float, W>::load(shared.query + column)}; },
      [&](int, int64_t column, float (&sums)[W]) {
        const auto v = Packed<float, W>::load(shared.v + column);
#pragma unroll
        for (int w = 0; w < W; ++w) sums[w] *= 4.0f * v[w];
        store_floats(grad_product + column, sums);
      });
}

template <class T>
__global__ void __launch_bounds__(decoder_threads) reversed_decoder_kernel(const ReversedDecoder<T> a) {
  const cooperative_groups::grid_group grid = cooperative_groups::this_grid();
  const ReversedShape& s = a.shape;
  const ReversedMemory<T> shared(s);
  const int part = int(blockIdx.x) % s.parts;
  const int64_t first_row = int64_t(blockIdx.x) / s.parts * s.rows, first_column = part * s.part();
  load_rows(s.product(), a.transposed, s.stacked(), first_row, shared.weights, first_column);
  if (s.keys_resident && blockIdx.x < s.batch) {
    const int64_t keys = s.positions * s.units;
    for (int64_t i = threadIdx.x; i < keys; i += blockDim.x) shared.keys[i] = a.source.keys[blockIdx.x * keys + i];
  }
  const int64_t stride = reversed_stride<T>(s);
  for (int64_t step = s.target - 1; step >= 0; --step) {
    for (int64_t b = blockIdx.x; b < s.batch; b += gridDim.x) {
      retreat_source(a, shared, step, b);
      __syncthreads();
    }
    grid.sync();
    multiply_resident(s.product(), a.grad_product + step * s.padded_batch() * stride + first_column, stride,
                      shared.weights, first_row, shared.query, [&](int64_t b, int64_t row, float sum) {
                        a.partial[(part * s.batch + b) * s.hidden + row] = sum;
                      });
    grid.sync();
  }
}

}  // namespace

int64_t reversed_decoder_stride(int dtype, int64_t units, int64_t hidden, int64_t gates, int parts) {
  const ReversedShape shape{0, 0, 0, units, hidden, gates, 0, parts, false};
  return dtype == float32 ? reversed_stride<float>(shape) : reversed_stride<Half>(shape);
}

int64_t reversed_decoder_shared_bytes(int dtype, int64_t batch, int64_t positions, int64_t units, int64_t hidden,
                                      int64_t gates, int rows, int parts, bool keys_resident) {
  const ReversedShape shape{batch, 0, positions, units, hidden, gates, rows, parts, keys_resident};
  return dtype == float32 ? ReversedLayout<float>(shape).bytes : ReversedLayout<Half>(shape).bytes;
}

cudaError_t attention_decoder_backward(int dtype, const void* keys, const int64_t* lengths, const bool* mask,
                                       const void* transposed, const void* v, const void* projected,
                                       const float* state_mask, const float* grad_states, const float* grad_weights,
                                       const float* previous, const float* cells, const float* activations,
                                       const float* weights, const float* queries, float* grad_gates,
                                       float* grad_scores, void* grad_product, float* partial, float* through,
                                       int64_t batch, int64_t target, int64_t positions, int64_t units, int64_t hidden,
                                       int64_t gates, int blocks, int rows, int parts, bool keys_resident,
                                       cudaStream_t stream) {
  return with_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const ReversedShape shape{batch, target, positions, units, hidden, gates, rows, parts, keys_resident};
    const AttentionSource<T> source{static_cast<const T*>(keys), nullptr, nullptr, lengths, mask, positions, units};
    const ReversedDecoder<T> a{shape,
                               source,
                               static_cast<const T*>(transposed),
                               static_cast<const T*>(v),
                               static_cast<const T*>(projected),
                               state_mask,
                               grad_states,
                               grad_weights,
                               previous,
                               cells,
                               activations,
                               weights,
                               queries,
                               grad_gates,
                               grad_scores,
                               static_cast<T*>(grad_product),
                               partial,
                               through};
    return launch_grid(true, reversed_decoder_kernel<T>, blocks, decoder_threads,
                       size_t(ReversedLayout<T>(shape).bytes), stream, a);
  });
}

}  // namespace seq2seq_fast
