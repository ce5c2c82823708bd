// The decoder's whole recurrence in one launch. The stacked weights of query and gates stay in shared memory, a few
// rows a block. A step is two phases with a barrier of the grid behind each: the product of the state with those rows,
// for the whole batch; then, an item (a source and a slice of its hidden units) at a time, attention over the keys, the
// weighted sum of values that were projected to gates before, and the cell. What blocks exchange is never read through
// the read-only cache.
#include <cooperative_groups.h>

#include "common/cells.h"
#include "cuda/decoder_layout.h"
#include "cuda/launchers.h"

namespace seq2seq_fast {
namespace {

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
  float* saved = a.activations + row * 4 * s.hidden + unit;
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
          for (int w = 0; w < W; ++w) shared.gates[column + w] = sums[w] * scale;
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
  __syncthreads();
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
  cudaError_t error = cudaGetDevice(&device);
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
    return launch_grid(true, decoder_kernel<T>, dim3(unsigned(blocks)), dim3(decoder_threads),
                       size_t(DecoderLayout<T>(shape).bytes), stream, a);
  });
}

}  // namespace seq2seq_fast
