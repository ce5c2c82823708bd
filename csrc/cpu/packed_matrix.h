// A few rows times a matrix that many calls share: the products inside a recurrence. The matrix is packed once, in
// panels of as many columns as the registers hold, so that a product reads it in the order of its addresses; a library
// would pack it, or read it against its order, in every step.
#pragma once

#include "buffer.h"
#include "parallel.h"
#include "row_span.h"
#include "vec.h"

namespace seq2seq_fast::cpu {

// Rows and vectors of columns of the block of results that stays in registers.
inline constexpr int kTileRows = 6;
#if defined(CPU_CAPABILITY_AVX512) || defined(__aarch64__)
inline constexpr int kTileVectors = 4;
#else
inline constexpr int kTileVectors = 2;
#endif
template <typename A>
inline constexpr int64_t kPanelWidth = kTileVectors * kLanes<A>;

// to = start + from * panel for R rows and one panel of columns; fetches the next panel meanwhile if asked.
template <int R, bool Fetch, typename A>
SEQ2SEQ_FAST_INLINE void multiply_tile(RowSpan<const A> from, const A* panel, int64_t depth, RowSpan<const A> start,
                                       RowSpan<A> to, const A* next) {
  constexpr int64_t N = kLanes<A>;
  Vec<A> sums[R][kTileVectors];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kTileVectors; ++c) {
      sums[r][c] = start ? Vec<A>::loadu(start[r] + c * N) : Vec<A>(0);
    }
  }
  const auto step = [&](int64_t k) SEQ2SEQ_FAST_LAMBDA {
    Vec<A> columns[kTileVectors];
#pragma GCC unroll 8
    for (int c = 0; c < kTileVectors; ++c) {
      columns[c] = Vec<A>::loadu(panel + k * kPanelWidth<A> + c * N);
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
inline void multiply_rows(int64_t rows, RowSpan<const A> from, const A* panel, int64_t depth, RowSpan<const A> start,
                          RowSpan<A> to, const A* next) {
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

// A [depth, columns] matrix in panels of kPanelWidth columns, the last filled up with zeros.
template <typename A>
class PackedMatrix {
 public:
  // Entry (k, n) lies at from[k * depth_stride + n * column_stride].
  PackedMatrix(const A* from, int64_t depth_stride, int64_t column_stride, int64_t depth, int64_t columns)
      : depth_(depth),
        columns_(columns),
        panels_((columns + kPanelWidth<A> - 1) / kPanelWidth<A>),
        storage_(panels_ * depth * kPanelWidth<A>) {
    parallel_for(0, panels_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        A* to = storage_.data() + p * depth * kPanelWidth<A>;
        const A* columns_from = from + p * kPanelWidth<A> * column_stride;
        for (int64_t k = 0; k < depth; ++k) {
          for (int64_t n = 0; n < kPanelWidth<A>; ++n) {
            to[k * kPanelWidth<A> + n] = n < width(p) ? columns_from[k * depth_stride + n * column_stride] : A(0);
          }
        }
      }
    });
  }

  // to[m] = start[m] + from[m] * matrix for m < rows; start may be to. Outside of a parallel region threads share the
  // panels.
  void multiply(int64_t rows, RowSpan<const A> from, RowSpan<const A> start, RowSpan<A> to) const {
    parallel_for(0, panels_, 8, [&](int64_t begin, int64_t end) {
      for (int64_t first = 0; first == 0 || first < depth_; first += kDepth) {
        for (int64_t p = begin; p < end; ++p) {
          const int64_t column = p * kPanelWidth<A>;
          multiply_panel(rows, from.columns(first), p, first, p + 1 < end ? p + 1 : p,
                         first == 0 ? start.columns(column) : RowSpan<const A>(to).columns(column), to.columns(column));
        }
      }
    });
  }

 private:
  // As many rows of a panel stay in the first cache while the rows that they multiply pass by.
  static constexpr int64_t kDepth = 512;

  int64_t width(int64_t p) const { return std::min(kPanelWidth<A>, columns_ - p * kPanelWidth<A>); }
  const A* panel(int64_t p, int64_t first) const { return storage_.data() + (p * depth_ + first) * kPanelWidth<A>; }

  void multiply_panel(int64_t rows, RowSpan<const A> from, int64_t p, int64_t first, int64_t next,
                      RowSpan<const A> start, RowSpan<A> to) const {
    const int64_t depth = std::min(kDepth, depth_ - first);
    const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
    // A tile fetches a part of the next panel; kTileVectors * lanes * sizeof(A) / 16 of them cover it.
    constexpr int64_t kParts = kPanelWidth<A> * sizeof(A) / 16;
    const A* fetched = panel(next, first);
    for (int64_t t = 0, row = 0; t < tiles; ++t) {
      const int64_t count = (rows - row + tiles - t - 1) / (tiles - t);
      if (width(p) < kPanelWidth<A>) {
        multiply_part(count, from.from(row), panel(p, first), depth, start.from(row), to.from(row), width(p));
      } else if (t < kParts && next != p) {
        multiply_rows<true, A>(count, from.from(row), panel(p, first), depth, start.from(row), to.from(row),
                               fetched + t * depth * kPanelWidth<A> / kParts);
      } else {
        multiply_rows<false, A>(count, from.from(row), panel(p, first), depth, start.from(row), to.from(row), nullptr);
      }
      row += count;
    }
  }

  static void multiply_part(int64_t count, RowSpan<const A> from, const A* panel, int64_t depth, RowSpan<const A> start,
                            RowSpan<A> to, int64_t width) {
    A block[kTileRows * kPanelWidth<A>] = {};
    const RowSpan<A> whole{block, kPanelWidth<A>};
    for (int64_t r = 0; start && r < count; ++r) {
      std::copy_n(start[r], width, whole[r]);
    }
    multiply_rows<false, A>(count, from, panel, depth, whole, whole, nullptr);
    for (int64_t r = 0; r < count; ++r) {
      std::copy_n(whole[r], width, to[r]);
    }
  }

  int64_t depth_, columns_, panels_;
  Buffer<A> storage_;
};

}  // namespace seq2seq_fast::cpu
