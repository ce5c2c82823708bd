// The gradient of a recurrence's weight_hh, as products over all of its positions.
#pragma once

#include "cell.h"
#include "typed_tensors.h"

namespace seq2seq_fast::cpu {

// grad_gates and grad_products [rows, G H] are the gradients of the input's and of the state's share of the gates,
// previous_states [rows, H] what each position started from, activations what the cell saved.
inline Tensor recurrent_weight_gradient(Cell cell, int64_t hidden, const Tensor& grad_gates,
                                        const Tensor& grad_products, const Tensor& previous_states,
                                        const Tensor& activations) {
  if (cell != Cell::kGruResetBefore) {
    return mm(grad_products.t(), previous_states);
  }
  const Tensor reset_states = activations.narrow(1, 0, hidden) * previous_states;
  return concatenate(mm(grad_gates.narrow(1, 0, 2 * hidden).t(), previous_states),
                     mm(grad_gates.narrow(1, 2 * hidden, hidden).t(), reset_states));
}

}  // namespace seq2seq_fast::cpu
