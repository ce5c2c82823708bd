// Additive attention backward, one query against one source. Notation and conventions are those of attention_rows.h.
#pragma once

#include "attention_rows.h"
#include "stream.h"

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

// r[m] of one vector of a query's units with K keys, of which two share a division; key(m) gives a vector.
template <int K, typename A, typename Key>
SEQ2SEQ_FAST_INLINE void reciprocals(const Vec<A>& query, const Key& key, Vec<A> (&r)[K]) {
  const auto denominator = [&](int m) SEQ2SEQ_FAST_LAMBDA { return exponential_denominator(query, key(m)); };
  if constexpr (K == 1) {
    r[0] = quotient(Vec<A>(1), denominator(0));
  } else {
    static_assert(K % 2 == 0);
    for (int m = 0; m < K; m += 2) {
      const auto both = two_reciprocals(denominator(m), denominator(m + 1));
      r[m] = both.first;
      r[m + 1] = both.second;
    }
  }
}

// Writes grad_query[u] = 4 v_u sum_n ds_n r (1 - r) for one query in range, ds a compact row, reading key after key.
template <typename A>
inline void query_gradient(const A* query_exponentials, const A* key_exponentials, const A* v, const A* grad_scores,
                           int64_t units, const int64_t* positions, int64_t count, A* grad_query) {
  std::fill_n(grad_query, units, A(0));
  for_each_rows<4>(key_exponentials, units, positions, count, [&]<int K>(int64_t n, auto& keys, auto& ahead) {
    Vec<A> w[K];
    for (int m = 0; m < K; ++m) {
      w[m] = Vec<A>(grad_scores[n + m]);
    }
    const auto prefetch = [&](int64_t u) SEQ2SEQ_FAST_LAMBDA {
      for (int m = 0; m < K; ++m) {
        __builtin_prefetch(ahead[m] + u);
      }
    };
    for_each_vector_of_line<A>(units, prefetch, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
      Vec<A> r[K];
      reciprocals<K>(
          load(query_exponentials + u, lanes), [&](int m) SEQ2SEQ_FAST_LAMBDA { return load(keys[m] + u, lanes); }, r);
      Vec<A> sum = load(grad_query + u, lanes);
      for (int m = 0; m < K; ++m) {
        sum = at::vec::fmadd(w[m], slope(r[m]), sum);
      }
      store(grad_query + u, sum, lanes);
    });
  });
  for_each_vector<A>(units, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    store(grad_query + u, Vec<A>(4) * load(v + u, lanes) * load(grad_query + u, lanes), lanes);
  });
}

// Writes, for one query in range and all visited positions in one pass over the keys, grad_keys[n] = 4 w_n v r (1 - r),
// grad_query = 4 v sum_n w_n r (1 - r) (null: not needed) and grad_v = sum_n w_n (1 - 2 r). kAround as in stream.h.
template <bool kAround, typename A>
inline void source_gradients(const A* query_exponentials, const A* key_exponentials, const A* v, const A* grad_scores,
                             int64_t units, const int64_t* positions, int64_t count, A* grad_query, A* grad_keys,
                             A* grad_v) {
  std::fill_n(grad_v, units, A(0));
  if (grad_query != nullptr) {
    std::fill_n(grad_query, units, A(0));
  }
  for_each_rows<2>(key_exponentials, units, positions, count, [&]<int K>(int64_t n, auto& keys, auto& ahead) {
    A* to[K];
    Vec<A> w[K];
    for (int m = 0; m < K; ++m) {
      to[m] = grad_keys + positions[n + m] * units;
      w[m] = Vec<A>(grad_scores[n + m]);
    }
    const auto prefetch = [&](int64_t u) SEQ2SEQ_FAST_LAMBDA {
      for (int m = 0; m < K; ++m) {
        __builtin_prefetch(ahead[m] + u);
      }
    };
    for_each_vector_of_line<A>(units, prefetch, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
      const Vec<A> factor = Vec<A>(4) * load(v + u, lanes);
      Vec<A> r[K];
      reciprocals<K>(
          load(query_exponentials + u, lanes), [&](int m) SEQ2SEQ_FAST_LAMBDA { return load(keys[m] + u, lanes); }, r);
      Vec<A> wr = load(grad_v + u, lanes);
      Vec<A> wf(0);
      for (int m = 0; m < K; ++m) {
        const Vec<A> f = w[m] * slope(r[m]);
        wr = at::vec::fmadd(w[m], r[m], wr);
        wf = wf + f;
        store_streamed<kAround>(to[m] + u, factor * f, lanes);
      }
      store(grad_v + u, wr, lanes);
      if (grad_query != nullptr) {
        store(grad_query + u, at::vec::fmadd(factor, wf, load(grad_query + u, lanes)), lanes);
      }
    });
  });
  const Vec<A> total(sum_row(grad_scores, count));
  for_each_vector<A>(units, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    store(grad_v + u, at::vec::fnmadd(Vec<A>(2), load(grad_v + u, lanes), total), lanes);
  });
}

// The same out of range, and with it the keys' and v's gradients; each row is added to, and null where not needed. v's
// gradient, of the whole score sum_u v_u tanh(q_u + k_u), has had -1 in tanh's place (query_exponentials): 2 w (1 - r).
template <typename A>
inline void gradients_direct(const A* query, const A* keys, const A* v, const A* grad_scores, int64_t units,
                             const int64_t* positions, int64_t count, A* grad_query, A* grad_keys, A* grad_v) {
  for (int64_t n = 0; n < count; ++n) {
    const A* key = keys + positions[n] * units;
    A* grad_key = grad_keys == nullptr ? nullptr : grad_keys + positions[n] * units;
    const Vec<A> w(grad_scores[n]);
    const auto add = [](A* to, const Vec<A>& what, auto lanes) SEQ2SEQ_FAST_LAMBDA {
      if (to != nullptr) {
        store(to, load(to, lanes) + what, lanes);
      }
    };
    for_each_vector<A>(units, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
      const Vec<A> r = quotient(Vec<A>(1), direct_denominator(load(query + u, lanes), load(key + u, lanes)));
      const Vec<A> grad = w * Vec<A>(4) * load(v + u, lanes) * slope(r);
      add(grad_query == nullptr ? nullptr : grad_query + u, grad, lanes);
      add(grad_key == nullptr ? nullptr : grad_key + u, grad, lanes);
      add(grad_v == nullptr ? nullptr : grad_v + u, Vec<A>(2) * w * (Vec<A>(1) - r), lanes);
    });
  }
}

}  // namespace seq2seq_fast::cpu
