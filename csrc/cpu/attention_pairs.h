// Additive attention, many queries against one source: tiles that stay in cache, never a tensor of all pairs by units.
// Notation and conventions are those of attention_rows.h.
#pragma once

#include "attention_gradients.h"

namespace seq2seq_fast::cpu {

// Every pair of a source's queries and visited positions, all in range, and the gradients of their scores.
template <typename A>
struct PairGradients {
  const A* queries;  // exponentials; row i begins at queries + i * query_stride
  int64_t query_stride;
  int64_t query_count;
  const A* keys;  // exponentials, rows of `units`
  const A* v;
  int64_t units;
  const A* grad_scores;  // compact row i begins at grad_scores + i * score_stride; a query out of range has zero
                         // exponentials
  int64_t score_stride;
  A grad_total;  // the sum of all grad_scores
  const int64_t* positions;
  int64_t count;
  A* grad_queries;  // row i begins at grad_queries + i * grad_query_stride; null where not needed
  int64_t grad_query_stride;
  bool accumulate;  // add to grad_keys and grad_v, as after the first of several calls
  A* grad_keys;     // rows of `units`; without queries, and where positions are not visited, they stay as they are
  A* grad_v;        // of the whole score, sum_u v_u tanh(q_u + k_u)
};

inline constexpr int64_t kQueryTile = 64;

// Units that a thread takes at a time are multiples of this.
template <typename A>
inline constexpr int64_t kUnitTile = 2 * kLanes<A>;

// Elements of scratch that pair_gradients needs.
template <typename A>
inline constexpr int64_t kPairScratch = 2 * kQueryTile * kUnitTile<A>;

namespace detail {

// K positions from `n` on, against a tile of queries, one vector of units. q and dq are packed, kUnitTile apart. Adds
// the sum of w r to `dv`; f = r (1 - r).
template <int K, bool kQueries, typename A, typename Lanes>
SEQ2SEQ_FAST_INLINE void pair_tile(const PairGradients<A>& p, int64_t first_query, int64_t tile, int64_t n, int64_t u,
                                   bool write, const A* q, A* dq, Vec<A>& dv, Lanes lanes) {
  Vec<A> key[K], sums[K], wr[K];
  const A* weights = p.grad_scores + first_query * p.score_stride + n;
  for (int m = 0; m < K; ++m) {
    key[m] = load(p.keys + p.positions[n + m] * p.units + u, lanes);
    sums[m] = wr[m] = Vec<A>(0);
  }
  for (int64_t i = 0; i < tile; ++i) {
    const Vec<A> query = load(q + i * kUnitTile<A>, Whole{});
    Vec<A> r[K];
    reciprocals<K>(query, [&](int m) SEQ2SEQ_FAST_LAMBDA { return key[m]; }, r);
    Vec<A> grad_query(0);
    if constexpr (kQueries) {
      grad_query = load(dq + i * kUnitTile<A>, Whole{});
    }
    for (int m = 0; m < K; ++m) {
      const Vec<A> w(weights[i * p.score_stride + m]);
      const Vec<A> f = slope(r[m]);
      sums[m] = at::vec::fmadd(w, f, sums[m]);
      wr[m] = at::vec::fmadd(w, r[m], wr[m]);
      if constexpr (kQueries) {
        grad_query = at::vec::fmadd(w, f, grad_query);
      }
    }
    if constexpr (kQueries) {
      store(dq + i * kUnitTile<A>, grad_query, Whole{});
    }
  }
  const Vec<A> factor = Vec<A>(4) * load(p.v + u, lanes);
  for (int m = 0; m < K; ++m) {
    dv = dv + wr[m];
    A* grad_key = p.grad_keys + p.positions[n + m] * p.units + u;
    store(grad_key, write ? factor * sums[m] : at::vec::fmadd(factor, sums[m], load(grad_key, lanes)), lanes);
  }
}

template <bool kQueries, typename A, typename Lanes>
SEQ2SEQ_FAST_INLINE void pair_units(const PairGradients<A>& p, int64_t begin, int64_t units, A* scratch, Lanes) {
  A* const q = scratch;
  A* const dq = scratch + kQueryTile * kUnitTile<A>;
  Vec<A> dv[2] = {Vec<A>(0), Vec<A>(0)};
  const auto each_vector = [&](const auto& body) SEQ2SEQ_FAST_LAMBDA {
    for (int64_t c = 0; c * kLanes<A> < units; ++c) {
      if constexpr (std::is_same_v<Lanes, Whole>) {
        body(c, Whole{});
      } else {
        body(c, Part{std::min(kLanes<A>, units - c * kLanes<A>)});
      }
    }
  };
  for (int64_t first = 0; first < p.query_count; first += kQueryTile) {
    const int64_t tile = std::min(kQueryTile, p.query_count - first);
    const bool write = first == 0 && !p.accumulate;
    each_vector([&](int64_t c, auto lanes) SEQ2SEQ_FAST_LAMBDA {
      const int64_t offset = c * kLanes<A>;
      for (int64_t i = 0; i < tile; ++i) {
        const Vec<A> query = load(p.queries + (first + i) * p.query_stride + begin + offset, lanes);
        store(q + i * kUnitTile<A> + offset, query, Whole{});
        store(dq + i * kUnitTile<A> + offset, Vec<A>(0), Whole{});
      }
    });
    for (int64_t n = 0; n < p.count; n += 2) {
      // Rows are far apart, so nothing else fetches what the end of this round and the next one need.
      for (int64_t m = n; m < std::min(n + 2, p.count); ++m) {
        __builtin_prefetch(p.grad_keys + p.positions[m] * p.units + begin);
        __builtin_prefetch(p.keys + p.positions[std::min(m + 2, p.count - 1)] * p.units + begin);
      }
      each_vector([&](int64_t c, auto lanes) SEQ2SEQ_FAST_LAMBDA {
        const int64_t u = begin + c * kLanes<A>;
        A* const tile_q = q + c * kLanes<A>;
        A* const tile_dq = dq + c * kLanes<A>;
        if (n + 1 < p.count) {
          pair_tile<2, kQueries>(p, first, tile, n, u, write, tile_q, tile_dq, dv[c], lanes);
        } else {
          pair_tile<1, kQueries>(p, first, tile, n, u, write, tile_q, tile_dq, dv[c], lanes);
        }
      });
    }
    if constexpr (kQueries) {
      each_vector([&](int64_t c, auto lanes) SEQ2SEQ_FAST_LAMBDA {
        const int64_t u = begin + c * kLanes<A>;
        const Vec<A> factor = Vec<A>(4) * load(p.v + u, lanes);
        for (int64_t i = 0; i < tile; ++i) {
          const Vec<A> sum = load(dq + i * kUnitTile<A> + c * kLanes<A>, Whole{});
          store(p.grad_queries + (first + i) * p.grad_query_stride + u, factor * sum, lanes);
        }
      });
    }
  }
  // sum w tanh = sum w - 2 sum w r
  each_vector([&](int64_t c, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    A* const grad_v = p.grad_v + begin + c * kLanes<A>;
    const Vec<A> sum = at::vec::fnmadd(Vec<A>(2), dv[c], Vec<A>(p.grad_total));
    store(grad_v, p.accumulate ? load(grad_v, lanes) + sum : sum, lanes);
  });
}

}  // namespace detail

// Writes the gradients of units [begin, end): each unit is written by the one call that has it, so units can be divided
// among threads (at multiples of kUnitTile). scratch has kPairScratch elements.
template <typename A>
inline void pair_gradients(const PairGradients<A>& p, int64_t begin, int64_t end, A* scratch) {
  const auto run = [&](int64_t u, int64_t units, auto lanes) {
    if (p.grad_queries != nullptr) {
      detail::pair_units<true>(p, u, units, scratch, lanes);
    } else {
      detail::pair_units<false>(p, u, units, scratch, lanes);
    }
  };
  int64_t u = begin;
  for (; u + kUnitTile<A> <= end; u += kUnitTile<A>) {
    run(u, kUnitTile<A>, Whole{});
  }
  if (u < end) {
    run(u, end - u, Part{0});
  }
}

}  // namespace seq2seq_fast::cpu
