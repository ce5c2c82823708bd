// The LSTM's raw operators; schemas in seq2seq_fast/ops/schemas.py.
#include <optional>
#include <tuple>

#include "lstm_cell_kernel.h"
#include "tensors.h"

namespace seq2seq_fast::cpu {
namespace {

std::tuple<Tensor, Tensor, Tensor> forward(const Tensor& gates_input, const Tensor& gates_hidden, const Tensor& cell) {
  const int64_t batch = cell.size(0), size = cell.size(1);
  check_shape("gates_input", gates_input, {batch, 4 * size});
  check_shape("gates_hidden", gates_hidden, {batch, 4 * size});
  check_type("gates_hidden", gates_hidden, gates_input.scalar_type());
  const Tensor input = dense_rows(gates_input), hidden = dense_rows(gates_hidden), before = dense_rows(cell);
  const ScalarType type = cell.scalar_type(), gates = gates_input.scalar_type();
  const Tensor new_hidden = Tensor::empty({batch, size}, gates);
  const Tensor new_cell = Tensor::empty({batch, size}, type);
  const Tensor activations = Tensor::empty({batch, 4 * size}, accumulation_type(type));
  lstm_gates({batch, size, gates, type, rows(input), rows(hidden), rows(before), rows(new_hidden), rows(new_cell),
              rows(activations)});
  return {new_hidden, new_cell, activations};
}

std::tuple<Tensor, Tensor> backward(const MaybeTensor& grad_hidden, const MaybeTensor& grad_cell, const Tensor& cell,
                                    const Tensor& new_cell, const Tensor& activations) {
  const int64_t batch = cell.size(0), size = cell.size(1);
  const ScalarType type = cell.scalar_type();
  check_shape("new_cell", new_cell, {batch, size});
  check_shape("activations", activations, {batch, 4 * size});
  check_type("new_cell", new_cell, type);
  check_type("activations", activations, accumulation_type(type));
  const auto optional_rows = [&](const char* name, const MaybeTensor& tensor, Tensor& dense) -> Rows {
    if (!tensor.has_value()) {
      return {};
    }
    check_shape(name, *tensor, {batch, size});
    dense = dense_rows(*tensor);
    return rows(dense);
  };
  Tensor dense_hidden, dense_cell;
  const Rows d_hidden = optional_rows("grad_hidden", grad_hidden, dense_hidden);
  const Rows d_cell = optional_rows("grad_cell", grad_cell, dense_cell);
  if (grad_cell.has_value()) {
    check_type("grad_cell", *grad_cell, type);
  }
  const Tensor before = dense_rows(cell), after = dense_rows(new_cell), kept = dense_rows(activations);
  const Tensor grad_gates = Tensor::empty({batch, 4 * size}, type);
  const Tensor grad_before = Tensor::empty({batch, size}, type);
  lstm_gates_backward({batch, size, grad_hidden.has_value() ? grad_hidden->scalar_type() : type, type, d_hidden, d_cell,
                       rows(before), rows(after), rows(kept), rows(grad_gates), rows(grad_before)});
  return {grad_gates, grad_before};
}

STABLE_TORCH_LIBRARY_IMPL(seq2seq_fast_cpu, CPU, m) {
  m.impl("lstm_gates_forward", TORCH_BOX(&forward));
  m.impl("lstm_gates_backward", TORCH_BOX(&backward));
}

}  // namespace
}  // namespace seq2seq_fast::cpu
