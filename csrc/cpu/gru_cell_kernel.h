// The gate arithmetic of a batch of GRUs; formulas in gates.h, shapes in seq2seq_fast/ops/schemas.py.
#pragma once

#include "dispatch.h"

namespace seq2seq_fast::cpu {

struct GruGates {
  int64_t batch, size;
  ScalarType gates, state;  // dtypes; activations are in the accumulation type
  Rows gates_input, gates_hidden, hidden, new_hidden, activations;
};
void gru_gates(const GruGates& g);

struct GruGatesBackward {
  int64_t batch, size;
  ScalarType gates, state;
  Rows grad, gates_hidden, hidden, activations, grad_input, grad_hidden_gates, grad_hidden;
};
void gru_gates_backward(const GruGatesBackward& g);

struct GruReset {
  int64_t batch, size;
  ScalarType gates, state;
  Rows gates_input, gates_hidden, hidden, reset_and_z, activations;
};
void gru_reset(const GruReset& g);

struct GruResetBackward {
  int64_t batch, size;
  ScalarType state;
  Rows grad, hidden, activations, grad_gates, grad_hidden;
};
void gru_reset_backward(const GruResetBackward& g);

struct GruUpdate {
  int64_t batch, size;
  ScalarType gates, state;
  Rows candidate_input, candidate_hidden, z, hidden, new_hidden, activations;
};
void gru_update(const GruUpdate& g);

struct GruUpdateBackward {
  int64_t batch, size;
  ScalarType state;
  Rows grad, z, hidden, activations, grad_candidate, grad_z, grad_hidden;
};
void gru_update_backward(const GruUpdateBackward& g);

}  // namespace seq2seq_fast::cpu
