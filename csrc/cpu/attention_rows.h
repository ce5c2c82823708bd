// Additive attention, one row of queries' units against one source (Bahdanau, Cho, Bengio 2014, arXiv 1409.0473).
//
// tanh(q + k) = 1 - 2 r and its derivative is 4 r (1 - r), with r = 1 / (1 + e^2q e^2k): both exponentials are taken
// once, and a pair costs multiply-adds and a shared division. That holds for |q|, |k| <= kRange; a row of a query, or a
// source, with an entry outside takes tanh itself ("direct"). Scores leave out their constant, sum(v).
//
// A is the accumulation type. `positions` lists the source's positions to visit, in ascending order; rows over the
// source ("compact" rows) have an entry for each of them. Rows of units and of values lie densely one after another.
#pragma once

#include <cmath>
#include <limits>

#include "vec.h"

namespace seq2seq_fast::cpu {

inline constexpr double kRange = 40.0;

// Where 1 + e^2q e^2k is cut off, so that the product of two is finite: r is then below rounding. In double it stays
// finite in the whole range, and the bound is out of reach.
template <typename A>
inline constexpr A kLargestDenominator = std::is_same_v<A, float> ? A(0x1p60) : std::numeric_limits<A>::max();

// Whether every lane of the largest |x| of a row, NaN kept, allows the exponential form.
template <typename A>
inline bool all_in_range(const Vec<A>& largest) {
  A lanes[kLanes<A>];
  largest.store(lanes);
  return std::all_of(lanes, lanes + kLanes<A>, [](A x) { return x <= A(kRange); });
}

// exponentials[u] = e^(2 query[u]). Gives whether the whole row is in range (NaN is not); a row that is not is zeroed:
// every r is then 1, its pairs add nothing to the gradients of queries and keys, and -1 = 1 - 2 r takes tanh's place.
template <typename T>
inline bool query_exponentials(const T* query, int64_t units, accumulation_t<T>* exponentials) {
  using A = accumulation_t<T>;
  Vec<A> largest(0);
  for_each_vector<A>(units, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const Vec<A> q = load(query + u, lanes);
    largest = at::vec::maximum(largest, q.abs());  // propagates NaN
    store(exponentials + u, exponential<A>(q + q), lanes);
  });
  const bool in_range = all_in_range<A>(largest);
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

template <typename A>
SEQ2SEQ_FAST_INLINE Vec<A> denominator(const Vec<A>& query, const Vec<A>& key) {
  const Vec<A> d = at::vec::fmadd(query, key, Vec<A>(1));
  if constexpr (std::is_same_v<A, float>) {
    return at::vec::clamp_max(d, Vec<A>(kLargestDenominator<A>));
  } else {
    return d;
  }
}

// scores[i * score_stride + m] = -2 sum_u v_u r_u for Q queries, `stride` apart, and K keys, two units sharing a
// division: v_0 / d_0 + v_1 / d_1 = (v_0 d_1 + v_1 d_0) / (d_0 d_1). The keys `ahead` are prefetched.
template <int Q, int K, typename A>
inline void score_block(const A* queries, int64_t stride, const A* const (&keys)[K], const A* const (&ahead)[K],
                        const A* v, int64_t units, A* scores, int64_t score_stride) {
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
        const Vec<A> d0 = denominator<A>(load(query, Whole{}), k0), d1 = denominator<A>(load(query + N, Whole{}), k1);
        sums[i][m] = sums[i][m] + at::vec::fmadd(v0, d1, v1 * d0) / (d0 * d1);
      }
    }
  }
  for_each_vector<A>(units - u, [&](int64_t rest, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const Vec<A> w = load(v + u + rest, lanes);
    for (int m = 0; m < K; ++m) {
      const Vec<A> k = load(keys[m] + u + rest, lanes);
      for (int i = 0; i < Q; ++i) {
        sums[i][m] = sums[i][m] + w / denominator<A>(load(queries + i * stride + u + rest, lanes), k);
      }
    }
  });
  for (int i = 0; i < Q; ++i) {
    for (int m = 0; m < K; ++m) {
      scores[i * score_stride + m] = -2 * sum_of_lanes<A>(sums[i][m]);
    }
  }
}

// The scores of one query against every visited position, in range: a compact row. Two keys at a time keep enough
// loads in flight to stream them from memory.
template <typename A>
inline void score_source(const A* query_exponentials, const A* key_exponentials, const A* v, int64_t units,
                         const int64_t* positions, int64_t count, A* scores) {
  for_each_rows<2>(key_exponentials, units, positions, count, [&]<int K>(int64_t n, auto& keys, auto& ahead) {
    score_block<1, K, A>(query_exponentials, 0, keys, ahead, v, units, scores + n, 0);
  });
}

// The same out of range, from queries and keys themselves: sum_u v_u (tanh(q_u + k_u) - 1).
template <typename A>
inline void score_source_direct(const A* query, const A* keys, const A* v, int64_t units, const int64_t* positions,
                                int64_t count, A* scores) {
  for (int64_t n = 0; n < count; ++n) {
    const A* key = keys + positions[n] * units;
    Vec<A> sum(0);
    for_each_vector<A>(units, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
      const Vec<A> t = tanh<A>(load(query + u, lanes) + load(key + u, lanes));
      sum = sum + load(v + u, lanes) * (t - Vec<A>(1));
    });
    scores[n] = sum_of_lanes<A>(sum);
  }
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
    const Vec<A> e = exponential<A>(load(row + n, lanes) - Vec<A>(largest));
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
