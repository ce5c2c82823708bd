// Tiles of a few queries against one source: scores, weighted sums of values, and the products of their gradients.
// Notation and conventions are those of attention_rows.h; rows of a tile are a stride apart.
#pragma once

#include "attention_gradients.h"

namespace seq2seq_fast::cpu {

// Queries that share the loads of keys and values: as many as registers allow.
inline constexpr int64_t kRowTile = 4;

// body.operator()<Q>() with Q = rows, 1 to kRowTile.
template <typename Body>
SEQ2SEQ_FAST_INLINE void with_rows(int64_t rows, const Body& body) {
  switch (rows) {
    case 1:
      return body.template operator()<1>();
    case 2:
      return body.template operator()<2>();
    case 3:
      return body.template operator()<3>();
    default:
      return body.template operator()<4>();
  }
}

// Scores of `rows` queries in range against every visited position.
template <typename A>
inline void score_tile(const A* query_exponentials, int64_t rows, const A* key_exponentials, const A* v, int64_t units,
                       const int64_t* positions, int64_t count, A* scores, int64_t score_stride) {
  if (rows == 1) {
    return score_source(exponential_form, query_exponentials, key_exponentials, v, units, positions, count, scores);
  }
  with_rows(rows, [&]<int Q>() {
    for (int64_t n = 0; n < count; ++n) {
      const A* const keys[1] = {key_exponentials + positions[n] * units};
      score_block<Q, 1, A>(exponential_form, query_exponentials, units, keys, keys, v, units, scores + n, score_stride);
    }
  });
}

// Columns of a small matrix product that are packed at a time.
template <typename A>
inline constexpr int64_t kPanel = 4 * kLanes<A>;

namespace detail {

// out(m)[c] (+)= sum_k weight(m, k) from(k)[c] for rows m of [0, Q) and C vectors of columns.
template <int Q, int C, typename A, typename From, typename Weight, typename Out, typename Lanes>
SEQ2SEQ_FAST_INLINE void product_block(int64_t terms, const Weight& weight, const From& from, const Out& out,
                                       bool accumulate, Lanes lanes) {
  constexpr int64_t N = kLanes<A>;
  Vec<A> sums[Q][C];
  for (int m = 0; m < Q; ++m) {
    for (int c = 0; c < C; ++c) {
      sums[m][c] = accumulate ? load(out(m) + c * N, lanes) : Vec<A>(0);
    }
  }
  for (int64_t k = 0; k < terms; ++k) {
    Vec<A> x[C];
    for (int c = 0; c < C; ++c) {
      x[c] = load(from(k) + c * N, lanes);
    }
    for (int m = 0; m < Q; ++m) {
      const Vec<A> w(weight(m, k));
      for (int c = 0; c < C; ++c) {
        sums[m][c] = at::vec::fmadd(w, x[c], sums[m][c]);
      }
    }
  }
  for (int m = 0; m < Q; ++m) {
    for (int c = 0; c < C; ++c) {
      store(out(m) + c * N, sums[m][c], lanes);
    }
  }
}

}  // namespace detail

// out(m)[c] (+)= sum_k weight(m, k) row(k)[c] for m < rows, k < terms and columns [begin, end). Columns are packed a
// panel at a time: rows that are a power of two apart share few lines of the cache. panel holds kPanel * terms
// elements.
template <typename T, typename Weight, typename Row, typename Out>
inline void small_product(int64_t rows, int64_t terms, int64_t begin, int64_t end, const Weight& weight, const Row& row,
                          const Out& out, bool accumulate, accumulation_t<T>* panel) {
  using A = accumulation_t<T>;
  constexpr int64_t N = kLanes<A>;
  for (int64_t column = begin; column < end; column += kPanel<A>) {
    const int64_t width = std::min(kPanel<A>, end - column);
    for (int64_t k = 0; k < terms; ++k) {
      for_each_vector<A>(width, [&](int64_t c, auto lanes) SEQ2SEQ_FAST_LAMBDA {
        store(panel + k * kPanel<A> + c, load(row(k) + column + c, lanes), Whole{});
      });
    }
    for (int64_t first = 0; first < rows; first += kRowTile) {
      with_rows(std::min(kRowTile, rows - first), [&]<int Q>() {
        const auto block = [&]<int C>(int64_t c, auto lanes) SEQ2SEQ_FAST_LAMBDA {
          detail::product_block<Q, C, A>(
              terms, [&](int m, int64_t k) SEQ2SEQ_FAST_LAMBDA { return weight(first + m, k); },
              [&](int64_t k) SEQ2SEQ_FAST_LAMBDA { return panel + k * kPanel<A> + c; },
              [&](int m) SEQ2SEQ_FAST_LAMBDA { return out(first + m) + column + c; }, accumulate, lanes);
        };
        int64_t c = 0;
        for (; c + 2 * N <= width; c += 2 * N) {
          block.template operator()<2>(c, Whole{});
        }
        for_each_vector<A>(width - c, [&](int64_t rest, auto lanes)
                                          SEQ2SEQ_FAST_LAMBDA { block.template operator()<1>(c + rest, lanes); });
      });
    }
  }
}

// sums[i] = sum_n weights[i][n] values[positions[n]] for `rows` queries; panel holds kPanel * count elements.
template <typename T>
inline void weighted_sum_tile(const accumulation_t<T>* weights, int64_t weight_stride, int64_t rows, const T* values,
                              const int64_t* positions, int64_t count, int64_t size, accumulation_t<T>* sums,
                              accumulation_t<T>* panel) {
  small_product<T>(
      rows, count, 0, size, [&](int64_t i, int64_t n) { return weights[i * weight_stride + n]; },
      [&](int64_t n) { return values + positions[n] * size; }, [&](int64_t i) { return sums + i * size; }, false,
      panel);
}

// grad_values[positions[n]] = sum_i weights[i][n] grad[i] over all `queries`, columns [begin, end) alone; or adds it.
// panel holds kPanel * queries elements.
template <typename A>
inline void values_gradient(const A* weights, int64_t weight_stride, const A* grad, int64_t queries,
                            const int64_t* positions, int64_t count, int64_t size, int64_t begin, int64_t end,
                            bool accumulate, A* grad_values, A* panel) {
  small_product<A>(
      count, queries, begin, end, [&](int64_t n, int64_t i) { return weights[i * weight_stride + n]; },
      [&](int64_t i) { return grad + i * size; }, [&](int64_t n) { return grad_values + positions[n] * size; },
      accumulate, panel);
}

// products[i][n] = grad[i] . values[positions[n]] for `rows` queries: the gradient of the weights.
template <typename T>
inline void dot_tile(const accumulation_t<T>* grad, int64_t rows, const T* values, const int64_t* positions,
                     int64_t count, int64_t size, accumulation_t<T>* products, int64_t product_stride) {
  using A = accumulation_t<T>;
  if (rows == 1) {
    return dot_source(grad, values, positions, count, size, products);
  }
  with_rows(rows, [&]<int Q>() {
    for_each_rows<2>(values, size, positions, count, [&]<int K>(int64_t n, auto& row, auto& /*ahead*/) {
      Vec<A> sums[Q][K];
      for (auto& of_query : sums) {
        std::fill_n(of_query, K, Vec<A>(0));
      }
      for_each_vector<A>(size, [&](int64_t d, auto lanes) SEQ2SEQ_FAST_LAMBDA {
        Vec<A> x[K];
        for (int m = 0; m < K; ++m) {
          x[m] = load(row[m] + d, lanes);
        }
        for (int i = 0; i < Q; ++i) {
          const Vec<A> g = load(grad + i * size + d, lanes);
          for (int m = 0; m < K; ++m) {
            sums[i][m] = at::vec::fmadd(g, x[m], sums[i][m]);
          }
        }
      });
      for (int i = 0; i < Q; ++i) {
        for (int m = 0; m < K; ++m) {
          products[i * product_stride + n + m] = sum_of_lanes<A>(sums[i][m]);
        }
      }
    });
  });
}

}  // namespace seq2seq_fast::cpu
