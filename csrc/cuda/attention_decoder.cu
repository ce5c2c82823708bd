// The decoder's whole recurrence in one launch. The stacked weights of query and gates stay in shared memory, a few
// rows a block. A step is two phases with a barrier of the grid behind each: the product of the state with those rows,
// for the whole batch; then, an item (a source and a slice of its hidden units) at a time, attention over the keys, the
// weighted sum of values that were projected to gates before, and the cell. What blocks exchange is never read through
// the read-only cache.
#include <cooperative_groups.h>

#include "common/cells.h"
#include "cuda/decoder_product.h"
#include "cuda/launchers.h"

namespace seq2seq_fast {
namespace {

// Attention of one source: scores become e^(score - maximum).
template <class T>
__device__ __forceinline__ void attend_source(const Decoder<T>& a, const SharedMemory<T>& shared, int64_t step,
                                              int64_t b, int count) {
  const DecoderShape& s = a.shape;
  const float* query = a.queries + (step * s.batch + b) * s.units;
  bool exponential = sizeof(T) == 4 && a.source.in_range[b];
  for (int64_t unit = threadIdx.x; unit < s.units; unit += blockDim.x) {
    const float x = query[unit];
    exponential = exponential && in_exponential_range(x);
    shared.query[unit] = x;
  }
  exponential = __syncthreads_and(exponential);
  constexpr int W = vector_width<T>, rows_at_once = 4;
  const int stride = int(query_stride(s.units));
  const auto store = [&](int, int64_t position, float sum) {
    shared.scores[position] = a.source.attended(b, position) ? -2.0f * sum : -INFINITY;
  };
  const int64_t offset = b * s.positions * s.units;
  if constexpr (sizeof(T) == 4) {
    if (exponential) {
      for (int64_t unit = threadIdx.x; unit < s.units; unit += blockDim.x)
        shared.query[unit] = squared_exponential(shared.query[unit]);
      __syncthreads();
      const float* rows = s.keys_resident ? shared.keys : a.source.exponentials + offset;
      row_sums<ExponentialTerm<false>, W, 1, rows_at_once>(rows, s.units, 0, count, shared.query, stride, shared.v,
                                                           store);
    }
  }
  if (!exponential) {
    // Resident exponentials serve no query that is out of range itself.
    const bool exponentials_resident = sizeof(T) == 4 && a.source.in_range[b];
    const T* rows = s.keys_resident && !exponentials_resident ? shared.keys : a.source.keys + offset;
    row_sums<DirectTerm<false>, W, 1, rows_at_once>(rows, s.units, 0, count, shared.query, stride, shared.v, store);
  }
  __syncthreads();
  if (threadIdx.x < warp_size) {
    const Softmax softmax = exponentiate(shared.scores, count);
    if (threadIdx.x == 0) shared.softmax[0] = softmax.scale();
  }
  __syncthreads();
}

// The new state of one unit; a gate is the sum of what came from the input, from the context and from the state.
template <class T>
__device__ __forceinline__ float new_state(const Decoder<T>& a, int64_t step, int64_t b, int64_t unit, float state,
                                           const float* from_context, int64_t context_stride) {
  const DecoderShape& s = a.shape;
  const int64_t row = step * s.batch + b;
  float outer[4] = {}, inner[4] = {};
#pragma unroll
  for (int gate = 0; gate < 4; ++gate) {
    if (gate >= s.gates) break;
    outer[gate] =
        to_float(a.gates_input[(row * s.gates + gate) * s.hidden + unit]) + from_context[gate * context_stride];
    inner[gate] = a.recurrent[(b * s.gates + gate) * s.hidden + unit];
  }
  float* saved = a.activations + row * saved_of(s.gates) * s.hidden + unit;
  if (s.gates == 1) return saved[0] = tanhf(outer[0] + inner[0]);
  if (s.gates == 3) {
    const float r = sigmoid(outer[0] + inner[0]), z = sigmoid(outer[1] + inner[1]);
    const float n = tanhf(fmaf(r, inner[2], outer[2]));
    saved[0] = r;
    saved[s.hidden] = z;
    saved[2 * s.hidden] = n;
    saved[3 * s.hidden] = inner[2];
    return gru_interpolate(z, n, state);
  }
  const LstmGates gates =
      lstm_activate(outer[0] + inner[0], outer[1] + inner[1], outer[2] + inner[2], outer[3] + inner[3]);
  const float before = step == 0 ? a.cell[b * s.hidden + unit] : a.cells[(row - s.batch) * s.hidden + unit];
  const float cell = lstm_new_cell(gates, before);
  a.cells[row * s.hidden + unit] = cell;
  saved[0] = gates.i;
  saved[s.hidden] = gates.f;
  saved[2 * s.hidden] = gates.g;
  saved[3 * s.hidden] = gates.o;
  return lstm_new_hidden(gates, cell);
}

// Attention and the cell of one source, for one slice of its hidden units.
template <class T>
__device__ __forceinline__ void advance_item(const Decoder<T>& a, const SharedMemory<T>& shared, int64_t step,
                                             int64_t item) {
  constexpr int W = vector_width<T>;
  const DecoderShape& s = a.shape;
  const int64_t b = item / s.slices, row = step * s.batch + b, stride = product_stride<T>(s.hidden);
  const int64_t first = item % s.slices * s.slice(), end = first + s.slice() < s.hidden ? first + s.slice() : s.hidden;
  const int64_t width = end - first;
  const int count = int(a.source.length(b));
  attend_source(a, shared, step, b, count);
  const float scale = shared.softmax[0];
  if (first == 0)
    for (int64_t i = threadIdx.x; i < s.positions; i += blockDim.x)
      a.weights[row * s.positions + i] = a.source.attended(b, i) ? shared.scores[i] * scale : 0.0f;
  if (width > 0) {
    const int64_t all = s.gates * s.hidden;
    sum_values<T, W, 1>(
        a.projected + b * s.positions * all + first, all, s.gates * width, count, shared.scores, 0, gate_threads<W>(s),
        shared.meeting, [&](int64_t column) { return column / width * s.hidden + column % width; },
        [&](int, int64_t column, float (&sums)[W]) {
#pragma unroll
          for (int w = 0; w < W; ++w) sums[w] *= scale;
          store_floats(shared.gates + column, sums);
        });
  }
  __syncthreads();
  for (int64_t unit = first + threadIdx.x; unit < end; unit += blockDim.x) {
    const int64_t i = b * s.hidden + unit;
    const float before =
        step == 0 ? a.load_state(a.state, i) : a.load_state(a.states, (step - 1) * s.batch * s.hidden + i);
    const float after = new_state(a, step, b, unit, a.masked(before, i), shared.gates + unit - first, width);
    a.store_state(row * s.hidden + unit, after);
    a.exchanged[b * stride + unit] = from_float<T>(a.masked(a.round_state(after), i));
  }
}

template <class T>
__global__ void __launch_bounds__(decoder_threads) decoder_kernel(const Decoder<T> a) {
  const cooperative_groups::grid_group grid = cooperative_groups::this_grid();
  const DecoderShape& s = a.shape;
  const SharedMemory<T> shared(s);
  load_resident(a, shared);
  const int64_t stride = product_stride<T>(s.hidden), states = s.batch * s.hidden;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < states; i += int64_t(gridDim.x) * blockDim.x)
    a.exchanged[i / s.hidden * stride + i % s.hidden] = from_float<T>(a.masked(a.load_state(a.state, i), i));
  grid.sync();
  for (int64_t step = 0; step < s.target; ++step) {
    multiply_state(a, shared, step);
    grid.sync();
    for (int64_t unit = threadIdx.x; unit < s.units; unit += blockDim.x) shared.v[unit] = to_float(a.v[unit]);
    for (int64_t item = blockIdx.x; item < s.items(); item += gridDim.x) advance_item(a, shared, step, item);
    grid.sync();
  }
}

}  // namespace

int64_t decoder_stride(int dtype, int64_t hidden) {
  return dtype == float32 ? product_stride<float>(hidden) : product_stride<Half>(hidden);
}

cudaError_t device_limits(DeviceLimits* limits) {
  int device = 0;
  cudaFuncAttributes attributes;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) error = cudaFuncGetAttributes(&attributes, decoder_kernel<float>);
  const auto read = [&](int* to, cudaDeviceAttr attribute) {
    if (error == cudaSuccess) error = cudaDeviceGetAttribute(to, attribute, device);
  };
  read(&limits->multiprocessors, cudaDevAttrMultiProcessorCount);
  read(&limits->shared_bytes_per_block, cudaDevAttrMaxSharedMemoryPerBlockOptin);
  read(&limits->cooperative, cudaDevAttrCooperativeLaunch);
  return error;
}

int64_t decoder_shared_bytes(int dtype, int64_t batch, int64_t positions, int64_t units, int64_t hidden, int64_t gates,
                             int rows, int slices, bool keys_resident) {
  const DecoderShape shape{batch, 0, positions, units, hidden, gates, rows, slices, keys_resident};
  return dtype == float32 ? DecoderLayout<float>(shape).bytes : DecoderLayout<Half>(shape).bytes;
}

cudaError_t attention_decoder_forward(int dtype, bool state_is_float, const void* keys, const float* exponentials,
                                      const bool* in_range, const int64_t* lengths, const bool* mask,
                                      const void* stacked, const float* bias, const void* v, const void* gates_input,
                                      const void* projected, const float* state_mask, const float* cell,
                                      const void* state, void* states, float* weights, float* queries, float* cells,
                                      float* activations, float* recurrent, void* exchanged, int64_t batch,
                                      int64_t target, int64_t positions, int64_t units, int64_t hidden, int64_t gates,
                                      int blocks, int rows, int slices, bool keys_resident, cudaStream_t stream) {
  return with_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const DecoderShape shape{batch, target, positions, units, hidden, gates, rows, slices, keys_resident};
    const AttentionSource<T> source{
        static_cast<const T*>(keys), exponentials, in_range, lengths, mask, positions, units};
    const Decoder<T> a{shape,
                       source,
                       static_cast<const T*>(stacked),
                       static_cast<const T*>(v),
                       bias,
                       static_cast<const T*>(gates_input),
                       static_cast<const T*>(projected),
                       state_mask,
                       cell,
                       state,
                       states,
                       state_is_float,
                       weights,
                       queries,
                       cells,
                       activations,
                       recurrent,
                       static_cast<T*>(exchanged)};
    return launch_grid(true, decoder_kernel<T>, blocks, decoder_threads, size_t(DecoderLayout<T>(shape).bytes), stream,
                       a);
  });
}

}  // namespace seq2seq_fast
