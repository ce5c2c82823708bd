// Additive attention, one row of queries' units against one source (Bahdanau, Cho, Bengio 2014, arXiv 1409.0473).
//
// tanh(q + k) = 1 - 2 r and its derivative is 4 r (1 - r), with r = 1 / (1 + e^2q e^2k): both exponentials are taken
// once, and a pair costs multiply-adds and a shared division. That holds for |q|, |k| <= exponential_range; a row of a
// query, or a source, with an entry outside takes e^2(q + k) ("direct"). Scores leave out their constant, sum(v).
//
// A is the accumulation type. `positions` lists the source's positions to visit, in ascending order; rows over the
// source ("compact" rows) have an entry for each of them. Rows of units and of values lie densely one after another.
#pragma once

#include <cmath>
#include <limits>

#include "formulas.h"

namespace seq2seq_fast::cpu {

// exponentials[u] = e^(2 row[u]). Gives whether the whole row is in range (NaN is not).
template <typename T>
inline bool row_exponentials(const T* row, int64_t units, accumulation_t<T>* exponentials) {
  using A = accumulation_t<T>;
  Vec<A> largest(0);
  for_each_vector<A>(units, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const Vec<A> x = load(row + u, lanes);
    largest = at::vec::maximum(largest, x.abs());  // propagates NaN
    store(exponentials + u, squared_exponential(x), lanes);
  });
  A lanes[kLanes<A>];
  largest.store(lanes);
  return std::all_of(lanes, lanes + kLanes<A>, in_exponential_range<A>);
}

// The same, but a row out of range is zeroed: every r is then 1, its pairs add nothing to the gradients of queries and
// keys, and -1 = 1 - 2 r takes tanh's place.
template <typename A>
inline bool query_exponentials(const A* query, int64_t units, A* exponentials) {
  const bool in_range = row_exponentials(query, units, exponentials);
  if (!in_range) {
    std::fill_n(exponentials, units, A(0));
  }
  return in_range;
}

// body.operator()<K>(n, rows, ahead) for K visited rows from n on, `size` long: the largest K while it goes, then
// fewer. rows are their addresses, and ahead the addresses of rows to come, to be prefetched.
template <int Largest, typename T, typename Body>
SEQ2SEQ_FAST_INLINE void for_each_rows(T* data, int64_t size, const int64_t* positions, int64_t count,
                                       const Body& body) {
  int64_t n = 0;
  const auto visit = [&]<int K>() SEQ2SEQ_FAST_LAMBDA {
    for (; n + K <= count; n += K) {
      T* rows[K];
      T* ahead[K];
      for (int m = 0; m < K; ++m) {
        rows[m] = data + positions[n + m] * size;
        ahead[m] = data + positions[std::min(n + K + m, count - 1)] * size;
      }
      body.template operator()<K>(n, rows, ahead);
    }
  };
  if constexpr (Largest >= 4) {
    visit.template operator()<4>();
  }
  visit.template operator()<2>();
  visit.template operator()<1>();
}

// 1 / r, and the sum of two units' v r: from exponentials in range, for v in range, and from queries and keys
// themselves, for any v.
struct ExponentialForm {
  template <typename N>
  SEQ2SEQ_FAST_INLINE static N denominator(const N& query, const N& key) {
    return exponential_denominator(query, key);
  }
  template <typename N>
  SEQ2SEQ_FAST_INLINE static N sum(const N& v0, const N& d0, const N& v1, const N& d1) {
    return sum_of_ratios(v0, d0, v1, d1);
  }
};
struct DirectForm {
  template <typename N>
  SEQ2SEQ_FAST_INLINE static N denominator(const N& query, const N& key) {
    return direct_denominator(query, key);
  }
  template <typename N>
  SEQ2SEQ_FAST_INLINE static N sum(const N& v0, const N& d0, const N& v1, const N& d1) {
    return sum_of_large_ratios(v0, d0, v1, d1);
  }
};
inline constexpr ExponentialForm exponential_form;
inline constexpr DirectForm direct_form;

// scores[i * score_stride + m] = -2 sum_u v_u r_u for Q queries, `stride` apart, and K keys, in one of these forms. The
// keys `ahead` are prefetched.
template <int Q, int K, typename A, typename Form>
inline void score_block(const Form& form, const A* queries, int64_t stride, const A* const (&keys)[K],
                        const A* const (&ahead)[K], const A* v, int64_t units, A* scores, int64_t score_stride) {
  constexpr int64_t N = kLanes<A>;
  Vec<A> sums[Q][K];
  for (auto& of_query : sums) {
    std::fill_n(of_query, K, Vec<A>(0));
  }
  int64_t u = 0;
  for (; u + 2 * N <= units; u += 2 * N) {
    const Vec<A> v0 = load(v + u, Whole{}), v1 = load(v + u + N, Whole{});
    for (int m = 0; m < K; ++m) {
      __builtin_prefetch(ahead[m] + u);
      const Vec<A> k0 = load(keys[m] + u, Whole{}), k1 = load(keys[m] + u + N, Whole{});
      for (int i = 0; i < Q; ++i) {
        const A* query = queries + i * stride + u;
        const Vec<A> d0 = form.denominator(load(query, Whole{}), k0),
                     d1 = form.denominator(load(query + N, Whole{}), k1);
        sums[i][m] = sums[i][m] + form.sum(v0, d0, v1, d1);
      }
    }
  }
  for_each_vector<A>(units - u, [&](int64_t rest, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const Vec<A> w = load(v + u + rest, lanes);
    for (int m = 0; m < K; ++m) {
      const Vec<A> k = load(keys[m] + u + rest, lanes);
      for (int i = 0; i < Q; ++i) {
        sums[i][m] = sums[i][m] + quotient(w, form.denominator(load(queries + i * stride + u + rest, lanes), k));
      }
    }
  });
  for (int i = 0; i < Q; ++i) {
    for (int m = 0; m < K; ++m) {
      scores[i * score_stride + m] = -2 * sum_of_lanes<A>(sums[i][m]);
    }
  }
}

// The scores of one query against every visited position: a compact row. Two keys at a time keep enough loads in flight
// to stream them from memory.
template <typename A, typename Form>
inline void score_source(const Form& form, const A* query, const A* keys, const A* v, int64_t units,
                         const int64_t* positions, int64_t count, A* scores) {
  for_each_rows<2>(keys, units, positions, count, [&]<int K>(int64_t n, auto& rows, auto& ahead) {
    score_block<1, K, A>(form, query, 0, rows, ahead, v, units, scores + n, 0);
  });
}

template <typename A>
inline A sum_row(const A* row, int64_t count) {
  Vec<A> sums(0);
  for_each_vector<A>(count, [&](int64_t n, auto lanes) SEQ2SEQ_FAST_LAMBDA { sums = sums + load(row + n, lanes); });
  return sum_of_lanes<A>(sums);
}

template <typename A>
inline A largest_of_row(const A* row, int64_t count) {
  A largest = -std::numeric_limits<A>::infinity();
  for (int64_t n = 0; n < count; ++n) {
    largest = row[n] > largest ? row[n] : largest;
  }
  return largest;
}

// Scores to weights in place; gives the logarithm of the denominator, -inf for an empty row.
template <typename A>
inline A softmax_row(A* row, int64_t count) {
  if (count == 0) {
    return -std::numeric_limits<A>::infinity();
  }
  const A largest = largest_of_row(row, count);
  Vec<A> sums(0);
  for_each_vector<A>(count, [&](int64_t n, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const Vec<A> e = exponential(load(row + n, lanes) - Vec<A>(largest));
    store(row + n, e, lanes);
    sums = sums + load(row + n, lanes);  // zeros beyond a part
  });
  const A sum = sum_of_lanes<A>(sums);
  const Vec<A> inverse(1 / sum);
  for_each_vector<A>(
      count, [&](int64_t n, auto lanes) SEQ2SEQ_FAST_LAMBDA { store(row + n, load(row + n, lanes) * inverse, lanes); });
  return largest + std::log(sum);
}

// Between compact rows and rows over the whole source; the entries in between become zeros.
template <typename A, typename T>
inline void scatter_row(const A* compact, const int64_t* positions, int64_t count, int64_t source_length, T* row) {
  std::fill_n(row, source_length, T(0));
  for (int64_t n = 0; n < count; ++n) {
    row[positions[n]] = static_cast<T>(compact[n]);
  }
}
template <typename T, typename A>
inline void gather_row(const T* row, const int64_t* positions, int64_t count, A* compact) {
  for (int64_t n = 0; n < count; ++n) {
    compact[n] = static_cast<A>(row[positions[n]]);
  }
}

// sums[d] = sum_n weights[n] values[positions[n]][d]: four rows at a time, each read in order of its addresses.
template <typename T>
inline void weighted_sum(const accumulation_t<T>* weights, const T* values, const int64_t* positions, int64_t count,
                         int64_t size, accumulation_t<T>* sums) {
  using A = accumulation_t<T>;
  std::fill_n(sums, size, A(0));
  int64_t n = 0;
  for (; n + 4 <= count; n += 4) {
    const T* r0 = values + positions[n] * size;
    const T* r1 = values + positions[n + 1] * size;
    const T* r2 = values + positions[n + 2] * size;
    const T* r3 = values + positions[n + 3] * size;
    const Vec<A> w0(weights[n]), w1(weights[n + 1]), w2(weights[n + 2]), w3(weights[n + 3]);
    for_each_vector<A>(size, [&](int64_t d, auto lanes) SEQ2SEQ_FAST_LAMBDA {
      const Vec<A> left = at::vec::fmadd(w1, load(r1 + d, lanes), w0 * load(r0 + d, lanes));
      const Vec<A> right = at::vec::fmadd(w3, load(r3 + d, lanes), w2 * load(r2 + d, lanes));
      store(sums + d, load(sums + d, lanes) + (left + right), lanes);
    });
  }
  for (; n < count; ++n) {
    const T* row = values + positions[n] * size;
    const Vec<A> w(weights[n]);
    for_each_vector<A>(size, [&](int64_t d, auto lanes) SEQ2SEQ_FAST_LAMBDA {
      store(sums + d, at::vec::fmadd(w, load(row + d, lanes), load(sums + d, lanes)), lanes);
    });
  }
}

}  // namespace seq2seq_fast::cpu
