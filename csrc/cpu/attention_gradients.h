// Additive attention backward, one query against one source. Notation and conventions are those of attention_rows.h.
#pragma once

#include "attention_rows.h"

namespace seq2seq_fast::cpu {

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

// r[m] of one vector of a query's units with K keys, 1 or 2, of which two share a division.
template <int K, typename A, typename Key>
SEQ2SEQ_FAST_INLINE void reciprocals(const Vec<A>& query, const Key& key, Vec<A> (&r)[K]) {
  static_assert(K == 1 || K == 2);
  if constexpr (K == 1) {
    r[0] = Vec<A>(1) / denominator<A>(query, key(0));
  } else {
    const Vec<A> d0 = denominator<A>(query, key(0)), d1 = denominator<A>(query, key(1));
    const Vec<A> inverse = Vec<A>(1) / (d0 * d1);
    r[0] = inverse * d1;
    r[1] = inverse * d0;
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

// Writes, for one query in range and all visited positions in one pass over the keys, grad_keys[n] = 4 w_n v r (1 - r),
// grad_query = 4 v sum_n w_n r (1 - r) (null: not needed) and grad_v = sum_n w_n (1 - 2 r), two positions at a time.
template <typename A>
inline void source_gradients(const A* query_exponentials, const A* key_exponentials, const A* v, const A* grad_scores,
                             int64_t units, const int64_t* positions, int64_t count, A* grad_query, A* grad_keys,
                             A* grad_v) {
  std::fill_n(grad_v, units, A(0));
  if (grad_query != nullptr) {
    std::fill_n(grad_query, units, A(0));
  }
  const auto visit = [&]<int K>(int64_t n) SEQ2SEQ_FAST_LAMBDA {
    const A* key[K];
    A* grad_key[K];
    Vec<A> w[K];
    for (int m = 0; m < K; ++m) {
      key[m] = key_exponentials + positions[n + m] * units;
      grad_key[m] = grad_keys + positions[n + m] * units;
      w[m] = Vec<A>(grad_scores[n + m]);
    }
    for_each_vector<A>(units, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
      const Vec<A> query = load(query_exponentials + u, lanes);
      const Vec<A> factor = Vec<A>(4) * load(v + u, lanes);
      Vec<A> r[K];
      reciprocals<K>(query, [&](int m) SEQ2SEQ_FAST_LAMBDA { return load(key[m] + u, lanes); }, r);
      Vec<A> wr = load(grad_v + u, lanes);
      Vec<A> wf(0);
      for (int m = 0; m < K; ++m) {
        const Vec<A> f = w[m] * at::vec::fnmadd(r[m], r[m], r[m]);
        wr = at::vec::fmadd(w[m], r[m], wr);
        wf = wf + f;
        store(grad_key[m] + u, factor * f, lanes);
      }
      store(grad_v + u, wr, lanes);
      if (grad_query != nullptr) {
        store(grad_query + u, at::vec::fmadd(factor, wf, load(grad_query + u, lanes)), lanes);
      }
    });
  };
  int64_t n = 0;
  for (; n + 2 <= count; n += 2) {
    visit.template operator()<2>(n);
  }
  if (n < count) {
    visit.template operator()<1>(n);
  }
  const Vec<A> total(sum_row(grad_scores, count));
  for_each_vector<A>(units, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    store(grad_v + u, at::vec::fnmadd(Vec<A>(2), load(grad_v + u, lanes), total), lanes);
  });
}

// The same out of range, and with it the keys' and v's gradients; each row is added to, and null where not needed. v's
// gradient, of the whole score sum_u v_u tanh(q_u + k_u), has had -1 in tanh's place (query_exponentials): w (t + 1).
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
      add(grad_v == nullptr ? nullptr : grad_v + u, w * (t + Vec<A>(1)), lanes);
    });
  }
}

}  // namespace seq2seq_fast::cpu
