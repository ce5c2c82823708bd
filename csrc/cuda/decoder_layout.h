// How the decoder in one launch lies in the shared memory of its blocks; seq2seq_fast/cuda_kernels/plan.py counts the
// same bytes.
#pragma once

#include "cuda/attention_source.h"
#include "cuda/softmax.h"
#include "cuda/warp_product.h"

namespace seq2seq_fast {

constexpr int decoder_threads = 512;
constexpr int decoder_warps = decoder_threads / warp_size;
constexpr int most_product_tiles = 8;

// The product of [B, depth] with the `rows` of a matrix [outputs, depth] that a block holds.
struct ProductShape {
  int64_t batch, depth, outputs;
  int rows;

  __host__ __device__ int row_tiles() const { return int(ceil_div(batch, product_rows)); }
  __host__ __device__ int tiles_at_once() const { return row_tiles() < decoder_warps ? row_tiles() : decoder_warps; }
  // Warps that share the depth of one product.
  __host__ __device__ int depth_splits() const {
    const int warps = decoder_warps / tiles_at_once(), steps = int(ceil_div(depth, product_depth));
    return warps < steps ? warps : steps;
  }
  __host__ __device__ int columns_at_once() const {
    return rows < most_product_tiles * product_columns ? rows : most_product_tiles * product_columns;
  }
  // Of the warps' sums.
  __host__ __device__ int64_t bytes() const {
    return int64_t(depth_splits()) * tiles_at_once() * product_rows * columns_at_once() * 4;
  }
};

// Numbers that backward needs of a hidden unit, by the gates of its cell: an RNN's state before it is rounded; r, z, n
// and the summand of n that r multiplies; i, f, g, o.
__host__ __device__ constexpr int64_t saved_of(int64_t gates) { return gates == 1 ? 1 : 4; }

// Sizes as in seq2seq_fast/ops/schemas.py. A block holds `rows` of the stacked weights; a source's hidden units are
// worked on in `slices`, so that an item of attention is a source and a slice.
struct DecoderShape {
  int64_t batch, target, positions, units, hidden, gates;
  int rows, slices;
  bool keys_resident;

  __host__ __device__ int64_t stacked() const { return units + gates * hidden; }
  __host__ __device__ int64_t items() const { return batch * slices; }
  // Units of a slice, so that vectors of up to 8 numbers fill it.
  __host__ __device__ int64_t slice() const { return round_up(ceil_div(hidden, slices), 8); }
  __host__ __device__ ProductShape product() const { return {batch, hidden, stacked(), rows}; }
};

// Threads side by side on the gates of a slice, W of them each.
template <int W>
__host__ __device__ constexpr int gate_threads(const DecoderShape& s) {
  return column_threads(ceil_div(s.gates * s.slice(), W), decoder_threads);
}

// Offsets in bytes, all multiples of 16.
template <class T>
struct DecoderLayout {
  int64_t keys, query, v, scores, softmax, meeting, gates, bytes;
  int64_t partial;  // of the products; where attention has its query at other times

  __host__ __device__ explicit DecoderLayout(const DecoderShape& s) {
    const int64_t stride = query_stride(s.units);
    keys = s.rows * product_stride<T>(s.hidden) * int64_t(sizeof(T));
    query = keys + (s.keys_resident ? s.positions * s.units * int64_t(sizeof(T)) : 0);
    partial = query;
    v = query + stride * 4;
    scores = v + stride * 4;
    softmax = scores + round_up(s.positions, 4) * 4;
    meeting = softmax + 16;
    // Where the gates take all threads no two of them share one.
    gates = meeting + (gate_threads<vector_width<T>>(s) < decoder_threads ? decoder_threads * vector_width<T> * 4 : 0);
    const int64_t attention = gates + s.gates * s.slice() * 4;
    const int64_t product = partial + s.product().bytes();
    bytes = attention > product ? attention : product;
  }
};

}  // namespace seq2seq_fast
