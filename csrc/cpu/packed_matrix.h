// A few rows times a matrix that many calls share: the products inside a recurrence. The matrix is packed once, in
// panels of as many columns as the registers hold, so that a product reads it in the order of its addresses; a library
// would pack it, or read it against its order, in every step.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "vec.h"

namespace seq2seq_fast::cpu {

// Rows of a matrix, `stride` elements apart; stride 0 repeats one row, null data stands for rows of zeros.
template <typename T>
struct Rows {
  T* data = nullptr;
  int64_t stride = 0;

  T* operator[](int64_t row) const { return data + row * stride; }
  Rows from(int64_t row) const { return data == nullptr ? *this : Rows{data + row * stride, stride}; }
  Rows columns(int64_t first) const { return data == nullptr ? *this : Rows{data + first, stride}; }
  operator Rows<const T>() const { return {data, stride}; }
};

// Rows and vectors of columns of the block of results that stays in registers.
inline constexpr int kTileRows = 6;
#if defined(CPU_CAPABILITY_AVX512) || defined(__aarch64__)
inline constexpr int kTileVectors = 4;
#else
inline constexpr int kTileVectors = 2;
#endif
template <typename A>
inline constexpr int64_t kPanel = kTileVectors * kLanes<A>;

// to = start + from * panel for R rows and one panel of columns; fetches the next panel meanwhile if asked.
template <int R, bool Fetch, typename A>
SEQ2SEQ_FAST_INLINE void multiply_tile(Rows<const A> from, const A* panel, int64_t depth, Rows<const A> start,
                                       Rows<A> to, const A* next) {
  constexpr int64_t N = kLanes<A>;
  Vec<A> sums[R][kTileVectors];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kTileVectors; ++c) {
      sums[r][c] = start.data == nullptr ? Vec<A>(0) : Vec<A>::loadu(start[r] + c * N);
    }
  }
  const auto step = [&](int64_t k) SEQ2SEQ_FAST_LAMBDA {
    Vec<A> columns[kTileVectors];
#pragma GCC unroll 8
    for (int c = 0; c < kTileVectors; ++c) {
      columns[c] = Vec<A>::loadu(panel + k * kPanel<A> + c * N);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Vec<A> entry(from[r][k]);
#pragma GCC unroll 8
      for (int c = 0; c < kTileVectors; ++c) {
        sums[r][c] = at::vec::fmadd(entry, columns[c], sums[r][c]);
      }
    }
  };
  int64_t k = 0;
  for (; k + 4 <= depth; k += 4) {
    if constexpr (Fetch) {
      constexpr int64_t kLine = 64 / sizeof(A);
      __builtin_prefetch(next + k / 4 * kLine, 0, 2);
    }
    step(k);
    step(k + 1);
    step(k + 2);
    step(k + 3);
  }
  for (; k < depth; ++k) {
    step(k);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kTileVectors; ++c) {
      sums[r][c].store(to[r] + c * N);
    }
  }
}

template <bool Fetch, typename A>
inline void multiply_rows(int64_t rows, Rows<const A> from, const A* panel, int64_t depth, Rows<const A> start,
                          Rows<A> to, const A* next) {
  const auto tile = [&]<int R>() { multiply_tile<R, Fetch, A>(from, panel, depth, start, to, next); };
  switch (rows) {
    case 1:
      return tile.template operator()<1>();
    case 2:
      return tile.template operator()<2>();
    case 3:
      return tile.template operator()<3>();
    case 4:
      return tile.template operator()<4>();
    case 5:
      return tile.template operator()<5>();
    default:
      return tile.template operator()<kTileRows>();
  }
}

// A [depth, columns] matrix in panels of kPanel columns, the last filled up with zeros.
template <typename A>
class PackedMatrix {
 public:
  // Entry (k, n) lies at from[k * depth_stride + n * column_stride].
  PackedMatrix(const A* from, int64_t depth_stride, int64_t column_stride, int64_t depth, int64_t columns)
      : depth_(depth),
        columns_(columns),
        panels_((columns + kPanel<A> - 1) / kPanel<A>),
        storage_(at::empty({panels_ * depth * kPanel<A>}, c10::CppTypeToScalarType<A>::value)) {
    at::parallel_for(0, panels_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        A* to = storage_.data_ptr<A>() + p * depth * kPanel<A>;
        const A* columns_from = from + p * kPanel<A> * column_stride;
        for (int64_t k = 0; k < depth; ++k) {
          for (int64_t n = 0; n < kPanel<A>; ++n) {
            to[k * kPanel<A> + n] = n < width(p) ? columns_from[k * depth_stride + n * column_stride] : A(0);
          }
        }
      }
    });
  }

  // to[m] = start[m] + from[m] * matrix for m < rows; start may be to. Outside of a parallel region threads share the
  // panels.
  void multiply(int64_t rows, Rows<const A> from, Rows<const A> start, Rows<A> to) const {
    at::parallel_for(0, panels_, 8, [&](int64_t begin, int64_t end) {
      for (int64_t first = 0; first == 0 || first < depth_; first += kDepth) {
        for (int64_t p = begin; p < end; ++p) {
          const int64_t column = p * kPanel<A>;
          multiply_panel(rows, from.columns(first), p, first, p + 1 < end ? p + 1 : p,
                         first == 0 ? start.columns(column) : Rows<const A>(to).columns(column), to.columns(column));
        }
      }
    });
  }

 private:
  // As many rows of a panel stay in the first cache while the rows that they multiply pass by.
  static constexpr int64_t kDepth = 512;

  int64_t width(int64_t p) const { return std::min(kPanel<A>, columns_ - p * kPanel<A>); }
  const A* panel(int64_t p, int64_t first) const {
    return storage_.const_data_ptr<A>() + (p * depth_ + first) * kPanel<A>;
  }

  void multiply_panel(int64_t rows, Rows<const A> from, int64_t p, int64_t first, int64_t next, Rows<const A> start,
                      Rows<A> to) const {
    const int64_t depth = std::min(kDepth, depth_ - first);
    const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
    // A tile fetches a part of the next panel; kTileVectors * lanes * sizeof(A) / 16 of them cover it.
    constexpr int64_t kParts = kPanel<A> * sizeof(A) / 16;
    const A* fetched = panel(next, first);
    for (int64_t t = 0, row = 0; t < tiles; ++t) {
      const int64_t count = (rows - row + tiles - t - 1) / (tiles - t);
      if (width(p) < kPanel<A>) {
        multiply_part(count, from.from(row), panel(p, first), depth, start.from(row), to.from(row), width(p));
      } else if (t < kParts && next != p) {
        multiply_rows<true, A>(count, from.from(row), panel(p, first), depth, start.from(row), to.from(row),
                               fetched + t * depth * kPanel<A> / kParts);
      } else {
        multiply_rows<false, A>(count, from.from(row), panel(p, first), depth, start.from(row), to.from(row), nullptr);
      }
      row += count;
    }
  }

  static void multiply_part(int64_t count, Rows<const A> from, const A* panel, int64_t depth, Rows<const A> start,
                            Rows<A> to, int64_t width) {
    A block[kTileRows * kPanel<A>] = {};
    const Rows<A> whole{block, kPanel<A>};
    for (int64_t r = 0; r < count && start.data != nullptr; ++r) {
      std::copy_n(start[r], width, whole[r]);
    }
    multiply_rows<false, A>(count, from, panel, depth, whole, whole, nullptr);
    for (int64_t r = 0; r < count; ++r) {
      std::copy_n(whole[r], width, to[r]);
    }
  }

  int64_t depth_, columns_, panels_;
  at::Tensor storage_;
};

}  // namespace seq2seq_fast::cpu
