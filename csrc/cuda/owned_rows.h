// Sums over the rows of one side for every row of the other, without atomics: a thread owns W columns of R rows and
// visits the other side's rows in order.
#pragma once

#include "cuda/launch.h"
#include "cuda/storage.h"

namespace seq2seq_fast {

constexpr int owner_threads = 128;

// Where a thread works: threads (x: columns of W, y: groups of R rows), blocks (tiles of rows and columns of a source,
// parts of the other side's rows).
struct OwnerGrid {
  int64_t batch, rows, width;
  int column_threads, column_tiles, row_tiles, splits;

  OwnerGrid(int64_t batch, int64_t rows, int64_t width, int64_t columns, int rows_per_thread, int64_t splits)
      : batch(batch), rows(rows), width(width), column_threads(1), splits(int(splits)) {
    while (column_threads < columns && column_threads < owner_threads) column_threads *= 2;
    column_tiles = int(ceil_div(columns, column_threads));
    row_tiles = int(ceil_div(rows, groups() * rows_per_thread));
  }

  __host__ __device__ __forceinline__ int groups() const { return owner_threads / column_threads; }

  __host__ __device__ __forceinline__ BlockPlaces places() const {
    return {batch, int64_t(column_tiles) * row_tiles, splits};
  }

  __device__ __forceinline__ int64_t group() const {
    return places().tile() / column_tiles * groups() + threadIdx.x / column_threads;
  }

  __device__ __forceinline__ int64_t first_column(int columns_per_thread) const {
    return (places().tile() % column_tiles * column_threads + threadIdx.x % column_threads) * columns_per_thread;
  }
};

}  // namespace seq2seq_fast
