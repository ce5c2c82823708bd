// Backward of attention down to the gradient of the scores, and the gradient of the values; what follows from the
// scores' gradient is additive_score_backward.cu.
#include "cuda/attention_source.h"
#include "cuda/launchers.h"
#include "cuda/owned_rows.h"
#include "cuda/softmax.h"

namespace seq2seq_fast {
namespace {

// grad_weights_ij (of the context: grad_context_i . values_j, plus what came through the weights themselves).
template <class T>
struct WeightsBackward {
  const T *grad_context, *values;  // [B, Tq, D], [B, Tx, D]
  const float* through_weights;    // [B, Tq, Tx] or null
  float* grad_weights;             // [B, Tq, Tx]
  int64_t batch, queries, positions, size, chunk, splits;
};

template <int Q, class T>
__host__ __device__ __forceinline__ BlockPlaces weights_places(const WeightsBackward<T>& a) {
  return {a.batch, ceil_div(a.queries, Q), a.splits};
}

template <int Q>
size_t weights_bytes(int64_t size) {
  return Q * query_stride(size) * sizeof(float);
}

template <class T, int W, int Q>
__global__ void __launch_bounds__(attention_threads, 2) weights_backward_kernel(const WeightsBackward<T> a) {
  constexpr int rows_at_once = Q == 1 ? 4 : 2;
  const BlockPlaces places = weights_places<Q>(a);
  const int64_t b = places.source(), first_query = places.tile() * Q;
  const int64_t first = places.part() * a.chunk, last = first + a.chunk < a.positions ? first + a.chunk : a.positions;
  const int stride = int(query_stride(a.size));
  float* grads = shared_memory();
  for (int64_t column = threadIdx.x; column < a.size; column += blockDim.x)
#pragma unroll
    for (int q = 0; q < Q; ++q) {
      const int64_t row = first_query + q < a.queries ? first_query + q : a.queries - 1;
      grads[q * stride + column] = to_float(a.grad_context[(b * a.queries + row) * a.size + column]);
    }
  __syncthreads();
  row_sums<ProductTerm, W, Q, rows_at_once>(
      a.values + b * a.positions * a.size, a.size, first, last, grads, stride, grads,
      [&](int q, int64_t position, float sum) {
        if (first_query + q >= a.queries) return;
        const int64_t to = (b * a.queries + first_query + q) * a.positions + position;
        a.grad_weights[to] = a.through_weights == nullptr ? sum : sum + a.through_weights[to];
      });
}

template <int Q, class T>
cudaError_t weights_backward(const WeightsBackward<T>& a, cudaStream_t stream) {
  const bool vectors = a.size % vector_width<T> == 0 && aligned(a.values);
  return with_width<T>(vectors, [&](auto width) {
    return launch(weights_backward_kernel<T, decltype(width)::value, Q>, weights_places<Q>(a).blocks(),
                  attention_threads, weights_bytes<Q>(a.size), stream, a);
  });
}

// The gradient of the scores in place of that of the weights; a warp takes a row. Given logsumexp, `weights` holds
// scores and becomes weights.
__global__ void __launch_bounds__(attention_threads)
    softmax_backward_kernel(float* weights, float* grads, const float* logsumexp, const int64_t* lengths,
                            const bool* mask, int64_t rows, int64_t queries, int64_t positions) {
  const int64_t row = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / warp_size;
  if (row >= rows) return;
  const int lane = int(threadIdx.x) % warp_size;
  const AttentionSource<float> source{nullptr, nullptr, nullptr, lengths, mask, positions, 0};
  const int64_t b = row / queries;
  float* weight = weights + row * positions;
  float* grad = grads + row * positions;
  if (logsumexp != nullptr)
    for (int64_t i = lane; i < positions; i += warp_size)
      weight[i] = source.attended(b, i) ? expf(weight[i] - logsumexp[row]) : 0.0f;
  softmax_gradient(
      weight, grad, source.length(b), positions, [&](int64_t i) { return source.attended(b, i); },
      [&](int64_t i, float of_score) { grad[i] = of_score; });
}

// grad_values_jd = sum_i w_ij grad_context_id.
template <class T, int W, int R>
__global__ void __launch_bounds__(owner_threads)
    values_backward_kernel(const T* grad_context, const float* weights, T* grad_values, int64_t queries,
                           const OwnerGrid grid) {
  const int64_t b = grid.places().source(), first_row = grid.group() * R, column = grid.first_column(W);
  if (column >= grid.width) return;
  float sums[R][W] = {};
  for (int64_t i = 0; i < queries; ++i) {
    const Packed<T, W> grad = Packed<T, W>::load(grad_context + (b * queries + i) * grid.width + column);
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const float weight = first_row + r < grid.rows ? weights[(b * queries + i) * grid.rows + first_row + r] : 0.0f;
#pragma unroll
      for (int w = 0; w < W; ++w) sums[r][w] = fmaf(weight, grad[w], sums[r][w]);
    }
  }
#pragma unroll
  for (int r = 0; r < R; ++r)
    if (first_row + r < grid.rows)
      store_floats(grad_values + (b * grid.rows + first_row + r) * grid.width + column, sums[r]);
}

}  // namespace

cudaError_t attend_backward_weights(int dtype, const void* grad_context, const void* values,
                                    const float* through_weights, float* grad_weights, int64_t batch, int64_t queries,
                                    int64_t positions, int64_t size, int64_t chunk, int64_t most_shared_bytes,
                                    cudaStream_t stream) {
  return with_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const WeightsBackward<T> a{static_cast<const T*>(grad_context),
                               static_cast<const T*>(values),
                               through_weights,
                               grad_weights,
                               batch,
                               queries,
                               positions,
                               size,
                               chunk,
                               ceil_div(positions, chunk)};
    const bool four = queries > 1 && int64_t(weights_bytes<4>(size)) <= most_shared_bytes;
    return four ? weights_backward<4>(a, stream) : weights_backward<1>(a, stream);
  });
}

cudaError_t attend_backward_softmax(float* weights, float* grads, const float* logsumexp, const int64_t* lengths,
                                    const bool* mask, int64_t batch, int64_t queries, int64_t positions,
                                    cudaStream_t stream) {
  const int64_t rows = batch * queries;
  return launch(softmax_backward_kernel, ceil_div(rows, attention_threads / warp_size), attention_threads, 0, stream,
                weights, grads, logsumexp, lengths, mask, rows, queries, positions);
}

cudaError_t attend_backward_values(int dtype, const void* grad_context, const float* weights, void* grad_values,
                                   int64_t batch, int64_t queries, int64_t positions, int64_t size,
                                   cudaStream_t stream) {
  return with_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* grad = static_cast<const T*>(grad_context);
    T* to = static_cast<T*>(grad_values);
    return with_width<T>(size % vector_width<T> == 0 && aligned(grad) && aligned(to), [&](auto width) {
      constexpr int W = decltype(width)::value, rows_per_thread = 4;
      const OwnerGrid grid(batch, positions, size, ceil_div(size, W), rows_per_thread, 1);
      return launch(values_backward_kernel<T, W, rows_per_thread>, grid.places().blocks(), owner_threads, 0, stream,
                    grad, weights, to, queries, grid);
    });
  });
}

}  // namespace seq2seq_fast
