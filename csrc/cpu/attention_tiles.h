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
  with_rows(rows, [&]<int Q>() {
    for (int64_t n = 0; n < count; ++n) {
      score_rows<Q, A>(query_exponentials, units, key_exponentials + positions[n] * units, v, units, scores + n,
                       score_stride);
    }
  });
}

namespace detail {

// sums[i * sum_stride + c] for Q rows of weights and C vectors of columns: sum_n weights(i, n) rows(n)[c].
template <int Q, int C, typename T, typename Weight, typename Row, typename Lanes>
SEQ2SEQ_FAST_INLINE void combine(int64_t count, const Weight& weight, const Row& row, bool accumulate,
                                 accumulation_t<T>* sums, int64_t sum_stride, Lanes lanes) {
  using A = accumulation_t<T>;
  constexpr int64_t N = kLanes<A>;
  Vec<A> s[Q][C];
  for (int i = 0; i < Q; ++i) {
    for (int c = 0; c < C; ++c) {
      s[i][c] = accumulate ? load(sums + i * sum_stride + c * N, lanes) : Vec<A>(0);
    }
  }
  for (int64_t n = 0; n < count; ++n) {
    const T* from = row(n);
    Vec<A> x[C];
    for (int c = 0; c < C; ++c) {
      x[c] = load(from + c * N, lanes);
    }
    for (int i = 0; i < Q; ++i) {
      const Vec<A> w(weight(i, n));
      for (int c = 0; c < C; ++c) {
        s[i][c] = at::vec::fmadd(w, x[c], s[i][c]);
      }
    }
  }
  for (int i = 0; i < Q; ++i) {
    for (int c = 0; c < C; ++c) {
      store(sums + i * sum_stride + c * N, s[i][c], lanes);
    }
  }
}

// The same over columns [begin, end).
template <int Q, typename T, typename Weight, typename Row>
SEQ2SEQ_FAST_INLINE void combine_columns(int64_t count, const Weight& weight, const Row& row, int64_t begin,
                                         int64_t end, bool accumulate, accumulation_t<T>* sums, int64_t sum_stride) {
  using A = accumulation_t<T>;
  constexpr int64_t N = kLanes<A>;
  int64_t d = begin;
  for (; d + 2 * N <= end; d += 2 * N) {
    combine<Q, 2, T>(count, weight, [&](int64_t n) { return row(n) + d; }, accumulate, sums + d, sum_stride, Whole{});
  }
  for_each_vector<A>(end - d, [&](int64_t rest, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    combine<Q, 1, T>(
        count, weight, [&](int64_t n) { return row(n) + d + rest; }, accumulate, sums + d + rest, sum_stride, lanes);
  });
}

}  // namespace detail

// sums[i] = sum_n weights[i][n] values[positions[n]] for `rows` queries.
template <typename T>
inline void weighted_sum_tile(const accumulation_t<T>* weights, int64_t weight_stride, int64_t rows, const T* values,
                              const int64_t* positions, int64_t count, int64_t size, accumulation_t<T>* sums) {
  if (rows == 1) {
    return weighted_sum(weights, values, positions, count, size, sums);
  }
  with_rows(rows, [&]<int Q>() {
    detail::combine_columns<Q, T>(
        count, [&](int64_t i, int64_t n) { return weights[i * weight_stride + n]; },
        [&](int64_t n) { return values + positions[n] * size; }, 0, size, false, sums, size);
  });
}

// grad_values[positions[n]] = sum_i weights[i][n] grad[i] over all `queries`, columns [begin, end) alone; or adds it.
template <typename A>
inline void values_gradient(const A* weights, int64_t weight_stride, const A* grad, int64_t queries,
                            const int64_t* positions, int64_t count, int64_t size, int64_t begin, int64_t end,
                            bool accumulate, A* grad_values) {
  for (int64_t n = 0; n < count;) {
    // Neighbours in the list that are neighbours in the source go together.
    int64_t rows = 1;
    while (rows < kRowTile && n + rows < count && positions[n + rows] == positions[n] + rows) {
      ++rows;
    }
    with_rows(rows, [&]<int Q>() {
      detail::combine_columns<Q, A>(
          queries, [&](int64_t m, int64_t i) { return weights[i * weight_stride + n + m]; },
          [&](int64_t i) { return grad + i * size; }, begin, end, accumulate, grad_values + positions[n] * size, size);
    });
    n += rows;
  }
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
    for (int64_t n = 0; n < count; ++n) {
      const T* value = values + positions[n] * size;
      Vec<A> sums[Q];
      for (int i = 0; i < Q; ++i) {
        sums[i] = Vec<A>(0);
      }
      for_each_vector<A>(size, [&](int64_t d, auto lanes) SEQ2SEQ_FAST_LAMBDA {
        const Vec<A> x = load(value + d, lanes);
        for (int i = 0; i < Q; ++i) {
          sums[i] = at::vec::fmadd(load(grad + i * size + d, lanes), x, sums[i]);
        }
      });
      for (int i = 0; i < Q; ++i) {
        products[i * product_stride + n] = sum_of_lanes<A>(sums[i]);
      }
    }
  });
}

}  // namespace seq2seq_fast::cpu
