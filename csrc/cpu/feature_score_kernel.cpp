#include "feature_score_kernel.h"

#include <vector>

#include "attention_rows.h"
#include "packed_matrix.h"

namespace seq2seq_fast::cpu {
namespace {

// Positions that are convolved and scored together: their sums stay in the first cache.
constexpr int64_t kTile = 24;

// What is inside the units besides the keys, for a tile of positions.
template <typename A>
class Sums {
 public:
  explicit Sums(const FeatureScore<A>& score) : score_(score) {
    for (int64_t c = 0; score.history != nullptr && c < score.channels; ++c) {
      filters_.emplace_back(score.filters + c * score.width, 1, score.channels * score.width, score.width, score.units);
    }
  }

  // Rows for positions [first, first + rows) of query i of source b; `room` holds kTile of them.
  RowSpan<const A> operator()(int64_t b, int64_t i, int64_t first, int64_t rows, A* room) const {
    const int64_t row = b * score_.queries + i, padded = score_.source + score_.width - 1;
    RowSpan<const A> sums{score_.query + row * score_.units, 0};
    for (size_t c = 0; c < filters_.size(); ++c) {
      // The windows of neighbouring positions lie one element apart.
      const RowSpan<const A> windows{score_.history + (row * score_.channels + int64_t(c)) * padded + first, 1};
      const RowSpan<A> to{room, score_.units};
      filters_[c].multiply(rows, windows, sums, to);
      sums = to;
    }
    return sums;
  }

 private:
  const FeatureScore<A>& score_;
  std::vector<PackedMatrix<A>> filters_;
};

template <typename A>
A relu_score(const A* sums, const A* key, const A* v, int64_t units) {
  Vec<A> total(0);
  for_each_vector<A>(units, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const Vec<A> x = at::vec::maximum(load(sums + u, lanes) + load(key + u, lanes), Vec<A>(0));
    total = at::vec::fmadd(load(v + u, lanes), x, total);
  });
  return sum_of_lanes<A>(total);
}

// One position: writes grad_sums and adds to grad_query and grad_v.
template <bool Relu, typename A>
void position_backward(A grad, const A* sums, const A* key, const A* v, int64_t units, A* grad_sums, A* grad_query,
                       A* grad_v) {
  const Vec<A> g(grad);
  for_each_vector<A>(units, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const Vec<A> s = load(sums + u, lanes), k = load(key + u, lanes), gv = g * load(v + u, lanes);
    Vec<A> unit, inside;
    if constexpr (Relu) {
      const Vec<A> x = s + k;
      unit = at::vec::maximum(x, Vec<A>(0));
      inside = Vec<A>::blendv(Vec<A>(0), gv, x > Vec<A>(0));
    } else {
      const Vec<A> r = quotient(Vec<A>(1), direct_denominator(s, k));
      unit = at::vec::fnmadd(Vec<A>(2), r, Vec<A>(1));
      inside = Vec<A>(4) * gv * slope(r);
    }
    store(grad_sums + u, inside, lanes);
    store(grad_query + u, load(grad_query + u, lanes) + inside, lanes);
    store(grad_v + u, at::vec::fmadd(g, unit, load(grad_v + u, lanes)), lanes);
  });
}

}  // namespace

template <typename A>
void feature_score(const FeatureScore<A>& score, A* scores) {
  const Sums<A> sums(score);
  const int64_t tiles = (score.source + kTile - 1) / kTile, units = score.units;
  const A constant = sum_row(score.v, units);
  const int64_t each = std::min(kTile, score.source) * units * (1 + score.channels * score.width / 16);
  parallel_tasks(score.batch * score.queries * tiles, each, [&](const auto& next) {
    const Buffer<A> room(kTile * units);
    for (int64_t task = next(); task >= 0; task = next()) {
      const int64_t row = task / tiles, b = row / score.queries, first = task % tiles * kTile;
      const int64_t rows = std::min(kTile, score.source - first);
      const RowSpan<const A> inside = sums(b, row % score.queries, first, rows, room.data());
      for (int64_t n = 0; n < rows; ++n) {
        const A* const key = score.keys + (b * score.source + first + n) * units;
        A* const to = scores + row * score.source + first + n;
        if (score.relu) {
          *to = relu_score(inside[n], key, score.v, units);
        } else {
          const A* const keys[1] = {key};
          const A* const ahead[1] = {key + (n + 1 < rows ? units : 0)};
          score_block<1, 1, A>(direct_form, inside[n], 0, keys, ahead, score.v, units, to, 0);
          *to += constant;
        }
      }
    }
  });
}

template <typename A>
void feature_score_backward(const FeatureScore<A>& score, const A* grad_scores, A* grad_sums, A* grad_query,
                            A* grad_v) {
  const Sums<A> sums(score);
  const int64_t units = score.units;
  parallel_tasks(score.batch, score.source * units * 2, [&](const auto& next) {
    const Buffer<A> room(kTile * units);
    for (int64_t b = next(); b >= 0; b = next()) {
      A* const of_query = grad_query + b * units;
      A* const of_v = grad_v + b * units;
      std::fill_n(of_query, units, A(0));
      std::fill_n(of_v, units, A(0));
      for (int64_t first = 0; first < score.source; first += kTile) {
        const int64_t rows = std::min(kTile, score.source - first);
        const RowSpan<const A> inside = sums(b, 0, first, rows, room.data());
        for (int64_t n = 0; n < rows; ++n) {
          const int64_t at = b * score.source + first + n;
          const auto backward = score.relu ? position_backward<true, A> : position_backward<false, A>;
          backward(grad_scores[at], inside[n], score.keys + at * units, score.v, units, grad_sums + at * units,
                   of_query, of_v);
        }
      }
    }
  });
}

template void feature_score(const FeatureScore<float>& score, float* scores);
template void feature_score(const FeatureScore<double>& score, double* scores);
template void feature_score_backward(const FeatureScore<float>& score, const float* grad_scores, float* grad_sums,
                                     float* grad_query, float* grad_v);
template void feature_score_backward(const FeatureScore<double>& score, const double* grad_scores, double* grad_sums,
                                     double* grad_query, double* grad_v);

}  // namespace seq2seq_fast::cpu
