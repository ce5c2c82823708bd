// The GRU's raw operators; schemas in seq2seq_fast/ops/schemas.py.
#include <tuple>

#include "gru_cell_kernel.h"
#include "tensors.h"

namespace seq2seq_fast::cpu {
namespace {

std::tuple<Tensor, Tensor> gru_gates_forward(const Tensor& gates_input_, const Tensor& gates_hidden_,
                                             const Tensor& hidden_) {
  const int64_t batch = hidden_.size(0), size = hidden_.size(1);
  check_shape("gates_input", gates_input_, {batch, 3 * size});
  check_shape("gates_hidden", gates_hidden_, {batch, 3 * size});
  check_type("gates_hidden", gates_hidden_, gates_input_.scalar_type());
  const Tensor gates_input = dense_rows(gates_input_), gates_hidden = dense_rows(gates_hidden_),
               hidden = dense_rows(hidden_);
  const ScalarType type = hidden.scalar_type();
  const Tensor new_hidden = Tensor::empty({batch, size}, type);
  const Tensor activations = Tensor::empty({batch, 3 * size}, accumulation_type(type));
  gru_gates({batch, size, gates_input.scalar_type(), type, rows(gates_input), rows(gates_hidden), rows(hidden),
             rows(new_hidden), rows(activations)});
  return {new_hidden, activations};
}

std::tuple<Tensor, Tensor, Tensor> gru_gates_backward_(const Tensor& grad_, const Tensor& gates_hidden_,
                                                       const Tensor& hidden_, const Tensor& activations_) {
  const int64_t batch = hidden_.size(0), size = hidden_.size(1);
  const ScalarType type = hidden_.scalar_type(), gates = gates_hidden_.scalar_type();
  check_shape("grad_hidden", grad_, {batch, size});
  check_shape("gates_hidden", gates_hidden_, {batch, 3 * size});
  check_shape("activations", activations_, {batch, 3 * size});
  check_type("grad_hidden", grad_, type);
  check_type("activations", activations_, accumulation_type(type));
  const Tensor grad = dense_rows(grad_), gates_hidden = dense_rows(gates_hidden_), hidden = dense_rows(hidden_),
               activations = dense_rows(activations_);
  const Tensor grad_input = Tensor::empty({batch, 3 * size}, gates);
  const Tensor grad_hidden_gates = Tensor::empty({batch, 3 * size}, gates);
  const Tensor grad_hidden = Tensor::empty({batch, size}, type);
  gru_gates_backward({batch, size, gates, type, rows(grad), rows(gates_hidden), rows(hidden), rows(activations),
                      rows(grad_input), rows(grad_hidden_gates), rows(grad_hidden)});
  return {grad_input, grad_hidden_gates, grad_hidden};
}

std::tuple<Tensor, Tensor> gru_reset_forward(const Tensor& gates_input_, const Tensor& gates_hidden_,
                                             const Tensor& hidden_) {
  const int64_t batch = hidden_.size(0), size = hidden_.size(1);
  check_shape("gates_input", gates_input_, {batch, 2 * size});
  check_shape("gates_hidden", gates_hidden_, {batch, 2 * size});
  check_type("gates_hidden", gates_hidden_, gates_input_.scalar_type());
  const Tensor gates_input = dense_rows(gates_input_), gates_hidden = dense_rows(gates_hidden_),
               hidden = dense_rows(hidden_);
  const ScalarType type = hidden.scalar_type();
  const Tensor reset_and_z = Tensor::empty({batch, 2 * size}, type);
  const Tensor activations = Tensor::empty({batch, 2 * size}, accumulation_type(type));
  gru_reset({batch, size, gates_input.scalar_type(), type, rows(gates_input), rows(gates_hidden), rows(hidden),
             rows(reset_and_z), rows(activations)});
  return {reset_and_z, activations};
}

std::tuple<Tensor, Tensor> gru_reset_backward_(const Tensor& grad_, const Tensor& hidden_, const Tensor& activations_) {
  const int64_t batch = hidden_.size(0), size = hidden_.size(1);
  const ScalarType type = hidden_.scalar_type();
  check_shape("grad", grad_, {batch, 2 * size});
  check_shape("activations", activations_, {batch, 2 * size});
  check_type("grad", grad_, type);
  check_type("activations", activations_, accumulation_type(type));
  const Tensor grad = dense_rows(grad_), hidden = dense_rows(hidden_), activations = dense_rows(activations_);
  const Tensor grad_gates = Tensor::empty({batch, 2 * size}, type);
  const Tensor grad_hidden = Tensor::empty({batch, size}, type);
  gru_reset_backward(
      {batch, size, type, rows(grad), rows(hidden), rows(activations), rows(grad_gates), rows(grad_hidden)});
  return {grad_gates, grad_hidden};
}

std::tuple<Tensor, Tensor> gru_update_forward(const Tensor& candidate_input_, const Tensor& candidate_hidden_,
                                              const Tensor& z_, const Tensor& hidden_) {
  const int64_t batch = hidden_.size(0), size = hidden_.size(1);
  const ScalarType type = hidden_.scalar_type(), gates = candidate_input_.scalar_type();
  check_shape("candidate_input", candidate_input_, {batch, size});
  check_shape("candidate_hidden", candidate_hidden_, {batch, size});
  check_shape("z", z_, {batch, size});
  check_type("candidate_hidden", candidate_hidden_, gates);
  check_type("z", z_, type);
  const Tensor candidate_input = dense_rows(candidate_input_), candidate_hidden = dense_rows(candidate_hidden_),
               z = dense_rows(z_), hidden = dense_rows(hidden_);
  const Tensor new_hidden = Tensor::empty({batch, size}, type);
  const Tensor activations = Tensor::empty({batch, size}, accumulation_type(type));
  gru_update({batch, size, gates, type, rows(candidate_input), rows(candidate_hidden), rows(z), rows(hidden),
              rows(new_hidden), rows(activations)});
  return {new_hidden, activations};
}

std::tuple<Tensor, Tensor, Tensor> gru_update_backward_(const Tensor& grad_, const Tensor& z_, const Tensor& hidden_,
                                                        const Tensor& activations_) {
  const int64_t batch = hidden_.size(0), size = hidden_.size(1);
  const ScalarType type = hidden_.scalar_type();
  check_shape("grad_hidden", grad_, {batch, size});
  check_shape("z", z_, {batch, size});
  check_shape("activations", activations_, {batch, size});
  check_type("grad_hidden", grad_, type);
  check_type("z", z_, type);
  check_type("activations", activations_, accumulation_type(type));
  const Tensor grad = dense_rows(grad_), z = dense_rows(z_), hidden = dense_rows(hidden_),
               activations = dense_rows(activations_);
  const Tensor grad_candidate = Tensor::empty({batch, size}, type);
  const Tensor grad_z = Tensor::empty({batch, size}, type);
  const Tensor grad_hidden = Tensor::empty({batch, size}, type);
  gru_update_backward({batch, size, type, rows(grad), rows(z), rows(hidden), rows(activations), rows(grad_candidate),
                       rows(grad_z), rows(grad_hidden)});
  return {grad_candidate, grad_z, grad_hidden};
}

STABLE_TORCH_LIBRARY_IMPL(seq2seq_fast_cpu, CPU, m) {
  m.impl("gru_gates_forward", TORCH_BOX(&gru_gates_forward));
  m.impl("gru_gates_backward", TORCH_BOX(&gru_gates_backward_));
  m.impl("gru_reset_forward", TORCH_BOX(&gru_reset_forward));
  m.impl("gru_reset_backward", TORCH_BOX(&gru_reset_backward_));
  m.impl("gru_update_forward", TORCH_BOX(&gru_update_forward));
  m.impl("gru_update_backward", TORCH_BOX(&gru_update_backward_));
}

}  // namespace
}  // namespace seq2seq_fast::cpu
