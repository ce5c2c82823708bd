// Products with the rows of a matrix that stay in a block's shared memory.
#pragma once

#include "cuda/decoder_layout.h"

namespace seq2seq_fast {

// Rows from `first_row` of a matrix whose rows are `columns` apart, product_stride apart in shared memory; zeros where
// the matrix ends.
template <class T>
__device__ __forceinline__ void load_rows(const ProductShape& s, const T* matrix, int64_t columns, int64_t first_row,
                                          T* to, int64_t first_column = 0) {
  const int64_t stride = product_stride<T>(s.depth);
  for (int64_t i = threadIdx.x; i < s.rows * stride; i += blockDim.x) {
    const int64_t row = first_row + i / stride, column = i % stride;
    const bool inside = row < s.outputs && column < s.depth && first_column + column < columns;
    to[i] = inside ? matrix[row * columns + first_column + column] : from_float<T>(0.0f);
  }
}

// store(b, row, sum) for each row of `from` [B, depth] in global memory and each row of the weights. `from` has
// round_up(B, 16) rows. Begins where another phase's scratch may be read no more, and ends so.
template <class T, class Store>
__device__ __forceinline__ void multiply_resident(const ProductShape& s, const T* from, int64_t from_stride,
                                                  const T* weights, int64_t first_row, float* partial, Store store) {
  if (first_row >= s.outputs) return;
  const int64_t stride = product_stride<T>(s.depth);
  const int warp = int(threadIdx.x) / warp_size, lane = int(threadIdx.x) % warp_size;
  const int at_once = s.tiles_at_once(), splits = s.depth_splits(), columns = s.columns_at_once();
  const int depth = int(ceil_div(s.depth, product_depth));
  for (int first_tile = 0; first_tile < s.row_tiles(); first_tile += at_once)
    for (int first_column = 0; first_column < s.rows; first_column += columns) {
      const int left = s.rows - first_column, tiles = (left < columns ? left : columns) / product_columns;
      const int tile = first_tile + warp % at_once, split = warp / at_once;
      if (split < splits && tile < s.row_tiles()) {
        float sums[most_product_tiles][4] = {};
        const int begin = depth * split / splits, end = depth * (split + 1) / splits;
        warp_product(sums, from + int64_t(tile) * product_rows * from_stride, from_stride,
                     weights + int64_t(first_column) * stride, stride, tiles, begin * product_depth,
                     (end - begin) * product_depth);
        float* to = partial + (int64_t(warp) * product_rows + lane / 4) * columns + lane % 4 * 2;
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
        if (b >= s.batch || row >= s.outputs) continue;
        float sum = 0.0f;
        for (int split_of = 0; split_of < splits; ++split_of)
          sum += partial[(int64_t(split_of) * at_once * product_rows + i / width) * columns + i % width];
        store(b, row, sum);
      }
      __syncthreads();
    }
}

}  // namespace seq2seq_fast
