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

// exponentials[u] = e^(2 query[u]), kept finite. Gives whether the whole row is in range; NaN is not.
template <typename T>
inline bool query_exponentials(const T* query, int64_t units, accumulation_t<T>* exponentials) {
  using A = accumulation_t<T>;
  Vec<A> largest(0);
  for_each_vector<A>(units, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const Vec<A> q = load(query + u, lanes);
    largest = at::vec::maximum(largest, q.abs());  // propagates NaN
    store(exponentials + u, exponential<A>(q + q), lanes);
  });
  A lanes[kLanes<A>];
  largest.store(lanes);
  return std::all_of(lanes, lanes + kLanes<A>, [](A x) { return x <= A(kRange); });
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

// scores[i] = -2 sum_u v_u r_u for Q queries, `stride` apart, and one key: v_0 / d_0 + v_1 / d_1 with one division.
template <int Q, typename A>
inline void score_rows(const A* queries, int64_t stride, const A* key, const A* v, int64_t units, A* const scores[Q]) {
  constexpr int64_t N = kLanes<A>;
  Vec<A> sums[Q];
  for (int i = 0; i < Q; ++i) {
    sums[i] = Vec<A>(0);
  }
  int64_t u = 0;
  for (; u + 2 * N <= units; u += 2 * N) {
    const Vec<A> k0 = load(key + u, Whole{}), k1 = load(key + u + N, Whole{});
    const Vec<A> v0 = load(v + u, Whole{}), v1 = load(v + u + N, Whole{});
    for (int i = 0; i < Q; ++i) {
      const A* query = queries + i * stride + u;
      const Vec<A> d0 = denominator<A>(load(query, Whole{}), k0), d1 = denominator<A>(load(query + N, Whole{}), k1);
      sums[i] = sums[i] + at::vec::fmadd(v0, d1, v1 * d0) / (d0 * d1);
    }
  }
  for_each_vector<A>(units - u, [&](int64_t rest, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const Vec<A> k = load(key + u + rest, lanes), w = load(v + u + rest, lanes);
    for (int i = 0; i < Q; ++i) {
      sums[i] = sums[i] + w / denominator<A>(load(queries + i * stride + u + rest, lanes), k);
    }
  });
  for (int i = 0; i < Q; ++i) {
    *scores[i] = -2 * sum_of_lanes<A>(sums[i]);
  }
}

// The scores of one query against every visited position, in range: a compact row.
template <typename A>
inline void score_source(const A* query_exponentials, const A* key_exponentials, const A* v, int64_t units,
                         const int64_t* positions, int64_t count, A* scores) {
  for (int64_t n = 0; n < count; ++n) {
    A* const score[1] = {scores + n};
    score_rows<1, A>(query_exponentials, 0, key_exponentials + positions[n] * units, v, units, score);
  }
}

// The same out of range, from queries and keys themselves: sum_u v_u (tanh(q_u + k_u) - 1).
template <typename TQ, typename TK, typename A>
inline void score_source_direct(const TQ* query, const TK* keys, const A* v, int64_t units, const int64_t* positions,
                                int64_t count, A* scores) {
  for (int64_t n = 0; n < count; ++n) {
    const TK* key = keys + positions[n] * units;
    Vec<A> sum(0);
    for_each_vector<A>(units, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
      const Vec<A> t = tanh<A>(load(query + u, lanes) + load(key + u, lanes));
      sum = sum + load(v + u, lanes) * (t - Vec<A>(1));
    });
    scores[n] = sum_of_lanes<A>(sum);
  }
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

// Scores to weights in place with the logarithm that softmax_row gave.
template <typename A>
inline void softmax_row_again(A* row, int64_t count, A logsumexp) {
  for_each_vector<A>(count, [&](int64_t n, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    store(row + n, exponential<A>(load(row + n, lanes) - Vec<A>(logsumexp)), lanes);
  });
}

// ds_n = w_n (dw_n - sum_m w_m dw_m), in place of dw.
template <typename A>
inline void softmax_row_backward(const A* weights, A* grad_weights, int64_t count) {
  Vec<A> sums(0);
  for_each_vector<A>(count, [&](int64_t n, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    sums = at::vec::fmadd(load(weights + n, lanes), load(grad_weights + n, lanes), sums);
  });
  const Vec<A> mean(sum_of_lanes<A>(sums));
  for_each_vector<A>(count, [&](int64_t n, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    store(grad_weights + n, load(weights + n, lanes) * (load(grad_weights + n, lanes) - mean), lanes);
  });
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

// products[n] = sum_d grad[d] values[positions[n]][d]: the gradient of the weights.
template <typename T>
inline void dot_source(const accumulation_t<T>* grad, const T* values, const int64_t* positions, int64_t count,
                       int64_t size, accumulation_t<T>* products) {
  using A = accumulation_t<T>;
  constexpr int64_t N = kLanes<A>;
  for (int64_t n = 0; n < count; ++n) {
    const T* row = values + positions[n] * size;
    Vec<A> s0(0), s1(0), s2(0), s3(0);
    int64_t d = 0;
    for (; d + 4 * N <= size; d += 4 * N) {
      s0 = at::vec::fmadd(load(grad + d, Whole{}), load(row + d, Whole{}), s0);
      s1 = at::vec::fmadd(load(grad + d + N, Whole{}), load(row + d + N, Whole{}), s1);
      s2 = at::vec::fmadd(load(grad + d + 2 * N, Whole{}), load(row + d + 2 * N, Whole{}), s2);
      s3 = at::vec::fmadd(load(grad + d + 3 * N, Whole{}), load(row + d + 3 * N, Whole{}), s3);
    }
    for_each_vector<A>(size - d, [&](int64_t rest, auto lanes) SEQ2SEQ_FAST_LAMBDA {
      s0 = at::vec::fmadd(load(grad + d + rest, lanes), load(row + d + rest, lanes), s0);
    });
    products[n] = sum_of_lanes<A>((s0 + s1) + (s2 + s3));
  }
}

// grad_query[u] += 4 v_u sum_n ds_n r (1 - r) for one query in range, ds a compact row.
template <typename A>
inline void query_gradient(const A* query_exponentials, const A* key_exponentials, const A* v, const A* grad_scores,
                           int64_t units, const int64_t* positions, int64_t count, A* grad_query) {
  constexpr int64_t N = kLanes<A>;
  const auto columns = [&]<int C>(int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    Vec<A> q[C], sums[C];
    for (int c = 0; c < C; ++c) {
      q[c] = load(query_exponentials + u + c * N, lanes);
      sums[c] = Vec<A>(0);
    }
    for (int64_t n = 0; n < count; ++n) {
      const A* key = key_exponentials + positions[n] * units + u;
      const Vec<A> w(grad_scores[n]);
      for (int c = 0; c < C; ++c) {
        const Vec<A> r = Vec<A>(1) / denominator<A>(q[c], load(key + c * N, lanes));
        sums[c] = at::vec::fmadd(w, at::vec::fnmadd(r, r, r), sums[c]);
      }
    }
    for (int c = 0; c < C; ++c) {
      const Vec<A> factor = Vec<A>(4) * load(v + u + c * N, lanes);
      store(grad_query + u + c * N, at::vec::fmadd(factor, sums[c], load(grad_query + u + c * N, lanes)), lanes);
    }
  };
  int64_t u = 0;
  for (; u + 4 * N <= units; u += 4 * N) {
    columns.template operator()<4>(u, Whole{});
  }
  for_each_vector<A>(units - u, [&](int64_t rest, auto lanes)
                                    SEQ2SEQ_FAST_LAMBDA { columns.template operator()<1>(u + rest, lanes); });
}

// The same out of range, and with it the keys' and v's gradients where they are not null (each row is added to).
// v's is that of the whole score, sum_u v_u tanh(q_u + k_u).
template <typename TQ, typename TK, typename A>
inline void gradients_direct(const TQ* query, const TK* keys, const A* v, const A* grad_scores, int64_t units,
                             const int64_t* positions, int64_t count, A* grad_query, A* grad_keys, A* grad_v) {
  for (int64_t n = 0; n < count; ++n) {
    const TK* key = keys + positions[n] * units;
    A* grad_key = grad_keys == nullptr ? nullptr : grad_keys + positions[n] * units;
    const Vec<A> w(grad_scores[n]);
    const auto add = [](A* to, const Vec<A>& what, auto lanes) SEQ2SEQ_FAST_LAMBDA {
      if (to != nullptr) {
        store(to, load(to, lanes) + what, lanes);
      }
    };
    for_each_vector<A>(units, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
      const Vec<A> t = tanh<A>(load(query + u, lanes) + load(key + u, lanes));
      const Vec<A> grad = through_tanh<A>(w * load(v + u, lanes), t);
      add(grad_query == nullptr ? nullptr : grad_query + u, grad, lanes);
      add(grad_key == nullptr ? nullptr : grad_key + u, grad, lanes);
      add(grad_v == nullptr ? nullptr : grad_v + u, w * t, lanes);
    });
  }
}

}  // namespace seq2seq_fast::cpu
