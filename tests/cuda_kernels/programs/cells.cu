// Calls the cells' launchers at odd sizes and distances between rows, for sanitizers; new states are compared with
// double.
#include <cmath>

#include "cuda/launchers.h"
#include "tensors.h"

using namespace seq2seq_fast;

namespace {

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

struct Shape {
  int64_t rows, size, gap;  // gap: numbers between two rows
};

template <class T>
struct Rows {
  Rows(const Shape& s, int64_t columns, unsigned seed) : stride(columns + s.gap), numbers(s.rows * stride) {
    numbers.fill(seed, 1);
  }
  double at(int64_t row, int64_t column) const { return numbers[row * stride + column]; }
  const T* data() const { return numbers.data; }

  int64_t stride;
  Tensor<T> numbers;
};

// Compares found [rows, columns] with truth(row, unit) at the first `size` columns.
template <class T, class Truth>
void compare(const char* what, const Shape& s, const Tensor<T>& found, int64_t columns, Truth truth) {
  const double tolerance = sizeof(T) == 4 ? 1e-5 : 2e-2;
  for (int64_t row = 0; row < s.rows; ++row)
    for (int64_t unit = 0; unit < s.size; ++unit) {
      const double wanted = truth(row, unit), got = found[row * columns + unit];
      if (std::fabs(got - wanted) <= tolerance) continue;
      if (++failures < 5) printf("%s: (%d, %d) is %g, not %g\n", what, int(row), int(unit), got, wanted);
    }
}

// T of the gates, S of the state.
template <class T, class S>
void exercise(int dtype, int state_dtype, const Shape& s) {
  const int64_t n = s.rows * s.size, saved_stride = 3 * s.size;
  const Rows<T> input(s, 4 * s.size, 1), recurrent(s, 4 * s.size, 2);
  const Rows<S> state(s, s.size, 3), update(s, s.size, 4), grad(s, 2 * s.size, 5);
  Tensor<S> new_state(n), new_cell(n), pair(2 * n), grad_state(n), grad_z(n), grad_pair(2 * n), grad_gates(4 * n);
  Tensor<T> new_hidden(n), grad_input(3 * n), grad_recurrent(3 * n);
  Tensor<float> saved(4 * n);
  const auto sum = [&](int64_t row, int64_t gate, int64_t unit) {
    return input.at(row, gate * s.size + unit) + recurrent.at(row, gate * s.size + unit);
  };
  const auto interpolate = [](double z, double candidate, double before) { return (1 - z) * candidate + z * before; };

  check("gru_gates_forward", gru_gates_forward(dtype, state_dtype, input.data(), input.stride, recurrent.data(),
                                               recurrent.stride, state.data(), state.stride, new_state.data, saved.data,
                                               saved_stride, s.rows, s.size, nullptr));
  compare("gru_gates_forward", s, new_state, s.size, [&](int64_t row, int64_t unit) {
    const int64_t third = 2 * s.size + unit;
    const double r = sigmoid_of(sum(row, 0, unit)), z = sigmoid_of(sum(row, 1, unit));
    return interpolate(z, std::tanh(input.at(row, third) + r * recurrent.at(row, third)), state.at(row, unit));
  });
  check("gru_gates_backward",
        gru_gates_backward(dtype, state_dtype, grad.data(), grad.stride, recurrent.data(), recurrent.stride,
                           state.data(), state.stride, saved.data, saved_stride, grad_input.data, grad_recurrent.data,
                           grad_state.data, s.rows, s.size, nullptr));

  check("gru_reset_forward",
        gru_reset_forward(dtype, state_dtype, input.data(), input.stride, recurrent.data(), recurrent.stride,
                          state.data(), state.stride, pair.data, saved.data, saved_stride, s.rows, s.size, nullptr));
  compare("gru_reset_forward", s, pair, 2 * s.size,
          [&](int64_t row, int64_t unit) { return sigmoid_of(sum(row, 0, unit)) * state.at(row, unit); });
  check("gru_reset_backward",
        gru_reset_backward(state_dtype, grad.data(), grad.stride, state.data(), state.stride, saved.data, saved_stride,
                           grad_pair.data, grad_state.data, s.rows, s.size, nullptr));

  check("gru_update_forward",
        gru_update_forward(dtype, state_dtype, input.data(), input.stride, recurrent.data(), recurrent.stride,
                           update.data(), update.stride, state.data(), state.stride, new_state.data, saved.data,
                           saved_stride, s.rows, s.size, nullptr));
  compare("gru_update_forward", s, new_state, s.size, [&](int64_t row, int64_t unit) {
    return interpolate(update.at(row, unit), std::tanh(sum(row, 0, unit)), state.at(row, unit));
  });
  check("gru_update_backward", gru_update_backward(state_dtype, grad.data(), grad.stride, update.data(), update.stride,
                                                   state.data(), state.stride, saved.data, saved_stride, grad_pair.data,
                                                   grad_z.data, grad_state.data, s.rows, s.size, nullptr));

  check("lstm_gates_forward", lstm_gates_forward(dtype, state_dtype, input.data(), input.stride, recurrent.data(),
                                                 recurrent.stride, state.data(), state.stride, new_hidden.data,
                                                 new_cell.data, saved.data, s.rows, s.size, nullptr));
  const auto cell = [&](int64_t row, int64_t unit) {
    return sigmoid_of(sum(row, 1, unit)) * state.at(row, unit) +
           sigmoid_of(sum(row, 0, unit)) * std::tanh(sum(row, 2, unit));
  };
  compare("lstm_gates_forward", s, new_cell, s.size, cell);
  compare("lstm_gates_forward", s, new_hidden, s.size,
          [&](int64_t row, int64_t unit) { return sigmoid_of(sum(row, 3, unit)) * std::tanh(cell(row, unit)); });
  // Gradients of the hidden state, of the cell, and of both.
  for (int given = 1; given < 4; ++given) {
    const S *of_hidden = given & 1 ? grad.data() : nullptr, *of_cell = given & 2 ? grad.data() : nullptr;
    check("lstm_gates_backward", lstm_gates_backward(state_dtype, of_hidden, grad.stride, of_cell, grad.stride,
                                                     state.data(), state.stride, new_cell.data, s.size, saved.data,
                                                     grad_gates.data, grad_state.data, s.rows, s.size, nullptr));
  }
}

}  // namespace

int main() {
  const Shape shapes[] = {
      {3, 16, 0},   // vectors
      {3, 16, 8},   // rows apart
      {5, 9, 3},    // single elements
      {17, 64, 0},  // more than one block
  };
  for (const Shape& shape : shapes) {
    exercise<float, float>(float32, float32, shape);
    exercise<Half, Half>(float16, float16, shape);
    exercise<BFloat16, float>(bfloat16, float32, shape);
  }
  if (failures) printf("Error: %d differences\n", failures);
  return failures != 0;
}
