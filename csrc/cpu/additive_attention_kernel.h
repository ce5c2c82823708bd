// Attention of a batch of queries over their sources, forward and backward; shapes in seq2seq_fast/ops/schemas.py.
#pragma once

#include "additive_score_kernel.h"
#include "positions.h"

namespace seq2seq_fast::cpu {

struct AttendInputs {
  ScoreInputs scores;
  const void* values;  // [batch, source, size] in scores.type, dense
  int64_t size;
  const Positions& positions;
};

// context [batch, queries, size] in scores.type, and in acc weights [batch, queries, source] (null: not needed) and
// logsumexp [batch, queries].
void attend(const AttendInputs& inputs, void* context, void* weights, void* logsumexp);

// All in acc, dense, [batch, queries, ...].
struct AttendGradients {
  const void* grad_context;
  const void* grad_weights;  // null: zero
  const void* weights;       // null: taken again
  void* grad_query;          // null: not needed
  void* grad_keys;           // needed where grad_v is
  void* grad_values;         // null: not needed
  void* grad_v;              // [units]; null: neither this nor those of query and keys are needed
};
void attend_backward(const AttendInputs& inputs, const AttendGradients& gradients);

}  // namespace seq2seq_fast::cpu
