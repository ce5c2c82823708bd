// Scores whose units may have more inside than query and key: features of where was attended before, and ReLU in tanh's
// place. score_ij = sum_a v_a unit(q_ia + k_ja + sum_ct filters_act history_ic,j+t); shapes in
// seq2seq_fast/ops/schemas.py.
#pragma once

#include <cstdint>

namespace seq2seq_fast::cpu {

// A is the accumulation type; all is dense.
template <typename A>
struct FeatureScore {
  int64_t batch, queries, source, units, channels, width;
  bool relu;         // else tanh
  const A* query;    // [batch, queries, units]
  const A* keys;     // [batch, source, units]
  const A* v;        // [units]
  const A* history;  // [batch, queries, channels, source + width - 1], zeros around it; null: no features
  const A* filters;  // [units, channels, width]
};

// scores [batch, queries, source]
template <typename A>
void feature_score(const FeatureScore<A>& score, A* scores);

// For one query a source: grad_scores [batch, source] -> grad_sums [batch, source, units], of the sums inside the
// units, and of each source's part grad_query and grad_v [batch, units].
template <typename A>
void feature_score_backward(const FeatureScore<A>& score, const A* grad_scores, A* grad_sums, A* grad_query, A* grad_v);

}  // namespace seq2seq_fast::cpu
