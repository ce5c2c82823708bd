// Scores of every query against every position of its source, and their gradients; shapes in
// seq2seq_fast/ops/schemas.py. "acc" is the accumulation type of `type`.
#pragma once

#include "dispatch.h"

namespace seq2seq_fast::cpu {

// What scores are made of; all dense.
struct ScoreInputs {
  int64_t batch, queries, source, units;
  ScalarType type;           // of keys, and of values where there are any
  const void* query;         // [batch, queries, units] in acc
  const void* keys;          // [batch, source, units] in `type`
  const void* exponentials;  // [batch, source, units] in acc
  const bool* in_range;      // [batch]
  const void* v;             // [units] in acc
};

// scores [batch, queries, source] in `type`.
void additive_score(const ScoreInputs& inputs, void* scores);

// All in acc: grad_scores [batch, queries, source] -> grad_query [batch, queries, units] (null: not needed),
// grad_keys [batch, source, units], grad_v [units].
void additive_score_backward(const ScoreInputs& inputs, const void* grad_scores, void* grad_query, void* grad_keys,
                             void* grad_v);

}  // namespace seq2seq_fast::cpu
