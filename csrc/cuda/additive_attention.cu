// Score, softmax and context in one pass over keys and values. A block takes some queries of a source and a chunk of
// its positions; where a source has several chunks, a second kernel combines them.
#include "cuda/attention_source.h"
#include "cuda/launchers.h"
#include "cuda/softmax.h"

namespace seq2seq_fast {
namespace {

template <class T>
struct Attend {
  AttentionSource<T> source;
  const T *query, *values, *v;  // [B, Tq, A], [B, Tx, D], [A]
  T* context;                   // [B, Tq, D]
  float *weights, *logsumexp;   // [B, Tq, Tx] or null, [B, Tq]
  float* partial;               // per chunk, null for one: maximum, sum [S, B, Tq] each, then context [S, B, Tq, D]
  int64_t query_distance, batch, queries, size, chunk;
  int splits;
};

template <int Q, class T>
__host__ __device__ __forceinline__ BlockPlaces attend_places(const Attend<T>& a) {
  return {a.batch, ceil_div(a.queries, Q), a.splits};
}

template <class T, int W, int Q>
__global__ void __launch_bounds__(attention_threads, 2) attend_kernel(const Attend<T> a, int columns) {
  constexpr int rows_at_once = Q == 1 ? 4 : 2;
  const BlockPlaces places = attend_places<Q>(a);
  const int64_t b = places.source(), first_query = places.tile() * Q, split = places.part();
  const int64_t positions = a.source.positions, first = split * a.chunk;
  const int64_t end = first + a.chunk < positions ? first + a.chunk : positions;
  const int64_t length = a.source.length(b);
  const int count = int((end < length ? end : length) - first);  // not positive: nothing here to attend
  const int stride = int(query_stride(a.source.units)), chunk_stride = int(a.chunk);
  float* queries = shared_memory();
  float* v = queries + Q * stride;
  float* scores = v + stride;
  float* softmax = scores + Q * chunk_stride;
  float* meeting = softmax + 2 * Q;
  const bool exponential =
      load_queries<Q>(a.source, a.query, a.query_distance, b, first_query, a.queries, a.v, queries, v);

  score_rows<false, W, Q, rows_at_once>(
      a.source, b, first, first + count, exponential, queries, v, [&](int q, int64_t position, float sum) {
        scores[q * chunk_stride + position - first] = a.source.attended(b, position) ? -2.0f * sum : -INFINITY;
      });
  __syncthreads();

  const int warp = int(threadIdx.x) / warp_size;
  if (warp < Q) {
    const Softmax row = exponentiate(scores + warp * chunk_stride, count);
    if (threadIdx.x % warp_size == 0) {
      softmax[2 * warp] = row.maximum;
      softmax[2 * warp + 1] = row.sum;
    }
  }
  __syncthreads();

  const bool alone = a.partial == nullptr;
  const int64_t rows = a.batch * a.queries;
#pragma unroll
  for (int q = 0; q < Q; ++q) {
    const float maximum = softmax[2 * q], sum = softmax[2 * q + 1];
    if (first_query + q >= a.queries) break;
    const int64_t row = b * a.queries + first_query + q;
    const float scale = alone ? (sum == 0.0f ? 0.0f : 1.0f / sum) : 1.0f;
    if (threadIdx.x == 0) {
      if (alone) {
        a.logsumexp[row] = sum == 0.0f ? -INFINITY : maximum + logf(sum);
      } else {
        a.partial[split * rows + row] = maximum;
        a.partial[(a.splits + split) * rows + row] = sum;
      }
    }
    if (a.weights != nullptr)
      for (int64_t i = first + threadIdx.x; i < end; i += blockDim.x)
        a.weights[row * positions + i] = a.source.attended(b, i) ? scores[q * chunk_stride + i - first] * scale : 0.0f;
  }

  float* contexts = alone ? nullptr : a.partial + (2 * a.splits + split * a.size) * rows;
  sum_values<T, W, Q>(
      a.values + (b * positions + first) * a.size, a.size, a.size, count, scores, chunk_stride, columns, meeting,
      [](int64_t column) { return column; },
      [&](int q, int64_t column, float (&sums)[W]) {
        if (first_query + q >= a.queries) return;
        const int64_t row = b * a.queries + first_query + q;
        const float sum = softmax[2 * q + 1];
        if (alone) {
#pragma unroll
          for (int w = 0; w < W; ++w) sums[w] *= sum == 0.0f ? 0.0f : 1.0f / sum;
          store_floats(a.context + row * a.size + column, sums);
        } else {
#pragma unroll
          for (int w = 0; w < W; ++w) contexts[row * a.size + column + w] = sums[w];
        }
      });
}

// A block a row (source and query): the chunks' softmaxes are brought to one maximum.
template <class T>
__global__ void __launch_bounds__(attention_threads) combine_kernel(const Attend<T> a) {
  const int64_t splits = a.splits;
  const int64_t row = blockIdx.x, rows = a.batch * a.queries, b = row / a.queries;
  const float* maxima = a.partial + row;
  const float* sums = maxima + splits * rows;
  const float* contexts = a.partial + 2 * splits * rows + row * a.size;
  float* scales = shared_memory();
  float maximum = -INFINITY, sum = 0.0f;
  for (int s = 0; s < splits; ++s) maximum = fmaxf(maximum, maxima[s * rows]);
  for (int s = 0; s < splits; ++s) {
    // A chunk without a maximum has nothing to attend, or only NaN.
    const float scale = maxima[s * rows] == -INFINITY ? 1.0f : fast_exp(maxima[s * rows] - maximum);
    sum += sums[s * rows] * scale;
  }
  const float share = sum == 0.0f ? 0.0f : 1.0f / sum;
  for (int s = int(threadIdx.x); s < splits; s += int(blockDim.x))
    scales[s] = share * (maxima[s * rows] == -INFINITY ? 1.0f : fast_exp(maxima[s * rows] - maximum));
  if (threadIdx.x == 0) a.logsumexp[row] = sum == 0.0f ? -INFINITY : maximum + logf(sum);
  __syncthreads();
  if (a.weights != nullptr)
    for (int64_t i = threadIdx.x; i < a.source.positions; i += blockDim.x)
      if (a.source.attended(b, i)) a.weights[row * a.source.positions + i] *= scales[i / a.chunk];
  for (int64_t column = threadIdx.x; column < a.size; column += blockDim.x) {
    float context = 0.0f;
    for (int s = 0; s < splits; ++s) context = fmaf(scales[s], contexts[s * rows * a.size + column], context);
    a.context[row * a.size + column] = from_float<T>(context);
  }
}

template <int Q>
size_t attend_bytes(int64_t units, int64_t chunk, int width) {
  return ((Q + 1) * query_stride(units) + Q * chunk + 2 * Q + attention_threads * width) * sizeof(float);
}

template <int Q, class T>
cudaError_t attend(const Attend<T>& a, cudaStream_t stream) {
  const bool vectors = a.source.units % vector_width<T> == 0 && a.size % vector_width<T> == 0 &&
                       aligned(a.source.keys) && aligned(a.source.exponentials) && aligned(a.values) &&
                       aligned(a.context);
  const cudaError_t error = with_width<T>(vectors, [&](auto width) {
    constexpr int W = decltype(width)::value;
    const int columns = column_threads(ceil_div(a.size, W), attention_threads);
    return launch(attend_kernel<T, W, Q>, attend_places<Q>(a).blocks(), attention_threads,
                  attend_bytes<Q>(a.source.units, a.chunk, W), stream, a, columns);
  });
  if (error != cudaSuccess || a.splits == 1) return error;
  return launch(combine_kernel<T>, a.batch * a.queries, attention_threads, a.splits * sizeof(float), stream, a);
}

}  // namespace

int64_t attention_chunk(int64_t batch, int64_t queries, int64_t positions, int multiprocessors) {
  // Blocks that keep a multiprocessor's memory accesses in flight; a warp takes four positions at once.
  constexpr int64_t blocks_per_multiprocessor = 4, fewest = 16, most = 256;
  const int64_t blocks = batch * (queries == 1 ? 1 : ceil_div(queries, 4));
  if (blocks == 0 || positions == 0) return most;
  const int64_t splits = ceil_div(multiprocessors * blocks_per_multiprocessor, blocks);
  const int64_t chunk = round_up(ceil_div(positions, splits), fewest);
  return chunk > most ? most : chunk;
}

cudaError_t attend_forward(int dtype, const void* query, const void* keys, const void* values,
                           const float* exponentials, const bool* in_range, const void* v, const int64_t* lengths,
                           const bool* mask, void* context, float* weights, float* logsumexp, float* partial,
                           int64_t query_distance, int64_t batch, int64_t queries, int64_t positions, int64_t units,
                           int64_t size, int64_t chunk, int64_t most_shared_bytes, cudaStream_t stream) {
  return with_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const AttentionSource<T> source{
        static_cast<const T*>(keys), exponentials, in_range, lengths, mask, positions, units};
    const Attend<T> a{source,
                      static_cast<const T*>(query),
                      static_cast<const T*>(values),
                      static_cast<const T*>(v),
                      static_cast<T*>(context),
                      weights,
                      logsumexp,
                      partial,
                      query_distance,
                      batch,
                      queries,
                      size,
                      chunk,
                      positions == 0 ? 1 : int(ceil_div(positions, chunk))};
    const bool four = queries > 1 && int64_t(attend_bytes<4>(units, chunk, vector_width<T>)) <= most_shared_bytes;
    return four ? attend<4>(a, stream) : attend<1>(a, stream);
  });
}

}  // namespace seq2seq_fast
