// The exponentials of the keys, and the scores alone.
#include "cuda/attention_source.h"
#include "cuda/launchers.h"

namespace seq2seq_fast {
namespace {

constexpr int64_t exponentials_part = 16 * attention_threads;

// A block takes a part of a source's keys and says whether all of it is in range.
template <class T, int W>
__global__ void __launch_bounds__(attention_threads)
    key_exponentials_kernel(const T* keys, float* exponentials, bool* part_in_range, int64_t elements,
                            const BlockPlaces places) {
  const int64_t b = places.source(), first = places.part() * exponentials_part;
  const int64_t last = first + exponentials_part < elements ? first + exponentials_part : elements;
  bool in_range = true;
  for (int64_t i = first + int64_t(threadIdx.x) * W; i < last; i += int64_t(blockDim.x) * W) {
    const Packed<T, W> packed = Packed<T, W>::load(keys + b * elements + i);
    float values[W];
#pragma unroll
    for (int w = 0; w < W; ++w) {
      in_range = in_range && in_exponential_range(packed[w]);
      values[w] = squared_exponential(packed[w]);
    }
    store_floats(exponentials + b * elements + i, values);
  }
  in_range = __syncthreads_and(in_range);
  if (threadIdx.x == 0) part_in_range[blockIdx.x] = in_range;
}

template <class T, class Out>
struct Scores {
  AttentionSource<T> source;
  const T *query, *v;
  Out* scores;  // [B, Tq, Tx]
  int64_t batch, queries, chunk, splits;
};

template <int Q, class T, class Out>
__host__ __device__ __forceinline__ BlockPlaces score_places(const Scores<T, Out>& a) {
  return {a.batch, ceil_div(a.queries, Q), a.splits};
}

template <int Q>
size_t score_bytes(int64_t units) {
  return (Q + 1) * query_stride(units) * sizeof(float);
}

template <bool centred, class T, class Out, int W, int Q>
__global__ void __launch_bounds__(attention_threads) score_kernel(const Scores<T, Out> a) {
  constexpr int rows_at_once = Q == 1 ? 4 : 2;
  const BlockPlaces places = score_places<Q>(a);
  const int64_t b = places.source(), first_query = places.tile() * Q, positions = a.source.positions;
  const int64_t first = places.part() * a.chunk, last = first + a.chunk < positions ? first + a.chunk : positions;
  float* queries = shared_memory();
  float* v = queries + Q * query_stride(a.source.units);
  const bool exponential =
      load_queries<Q>(a.source, a.query, a.source.units, b, first_query, a.queries, a.v, queries, v);
  score_rows<centred, W, Q, rows_at_once>(
      a.source, b, first, last, exponential, queries, v, [&](int q, int64_t position, float sum) {
        if (first_query + q < a.queries)
          a.scores[(b * a.queries + first_query + q) * positions + position] = from_float<Out>(-2.0f * sum);
      });
}

template <bool centred, int Q, class T, class Out>
cudaError_t score_tiles(const Scores<T, Out>& a, cudaStream_t stream) {
  const bool vectors =
      a.source.units % vector_width<T> == 0 && aligned(a.source.keys) && aligned(a.source.exponentials);
  return with_width<T>(vectors, [&](auto width) {
    return launch(score_kernel<centred, T, Out, decltype(width)::value, Q>, score_places<Q>(a).blocks(),
                  attention_threads, score_bytes<Q>(a.source.units), stream, a);
  });
}

template <bool centred, class T, class Out>
cudaError_t score(const Scores<T, Out>& a, int64_t most_shared_bytes, cudaStream_t stream) {
  const bool four = a.queries > 1 && int64_t(score_bytes<4>(a.source.units)) <= most_shared_bytes;
  return four ? score_tiles<centred, 4>(a, stream) : score_tiles<centred, 1>(a, stream);
}

}  // namespace

int64_t key_exponentials_parts(int64_t elements) { return ceil_div(elements, exponentials_part); }

cudaError_t key_exponentials(int dtype, const void* keys, float* exponentials, bool* part_in_range, int64_t batch,
                             int64_t elements, cudaStream_t stream) {
  return with_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = static_cast<const T*>(keys);
    const bool vectors = elements % vector_width<T> == 0 && aligned(keys) && aligned(exponentials);
    const BlockPlaces places(batch, 1, key_exponentials_parts(elements));
    return with_width<T>(vectors, [&](auto width) {
      return launch(key_exponentials_kernel<T, decltype(width)::value>, places.blocks(), attention_threads, 0, stream,
                    from, exponentials, part_in_range, elements, places);
    });
  });
}

cudaError_t additive_score_forward(int dtype, const void* query, const void* keys, const float* exponentials,
                                   const bool* in_range, const void* v, void* scores, bool for_softmax, int64_t batch,
                                   int64_t queries, int64_t positions, int64_t units, int64_t chunk,
                                   int64_t most_shared_bytes, cudaStream_t stream) {
  return with_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    const AttentionSource<T> source{
        static_cast<const T*>(keys), exponentials, in_range, nullptr, nullptr, positions, units};
    const T *q = static_cast<const T*>(query), *w = static_cast<const T*>(v);
    const int64_t splits = ceil_div(positions, chunk);
    if (for_softmax)
      return score<false>(Scores<T, float>{source, q, w, static_cast<float*>(scores), batch, queries, chunk, splits},
                          most_shared_bytes, stream);
    return score<true>(Scores<T, T>{source, q, w, static_cast<T*>(scores), batch, queries, chunk, splits},
                       most_shared_bytes, stream);
  });
}

}  // namespace seq2seq_fast
