// The gate arithmetic of a batch of LSTMs; formulas in gates.h, shapes in seq2seq_fast/ops/schemas.py.
#pragma once

#include "dispatch.h"

namespace seq2seq_fast::cpu {

struct LstmGates {
  int64_t batch, size;
  ScalarType gates, cell_type;  // dtypes, of the gates and the hidden state, and of the cell
  Rows gates_input, gates_hidden, cell, new_hidden, new_cell, activations;
};
void lstm_gates(const LstmGates& g);

struct LstmGatesBackward {
  int64_t batch, size;
  ScalarType hidden, cell_type;  // dtypes, of the hidden state's gradient and of the cell and what is made here
  Rows grad_hidden, grad_new_cell, cell, new_cell, activations, grad_gates, grad_cell;  // null gradients are zero
};
void lstm_gates_backward(const LstmGatesBackward& g);

}  // namespace seq2seq_fast::cpu
