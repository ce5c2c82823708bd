// Gate arithmetic of the LSTM after the matrix products.
#include "common/cells.h"
#include "cuda/elementwise.h"
#include "cuda/launchers.h"

namespace seq2seq_fast {
namespace {

template <int W, class T, class S>
__global__ void __launch_bounds__(elementwise_threads)
    lstm_gates_kernel(const Gates<T> input, const Gates<T> recurrent, const Gates<S> cell, T* new_hidden, S* new_cell,
                      float* activations, int64_t rows, int64_t size) {
  int64_t row, unit;
  if (!place<W>(rows, size, &row, &unit)) return;
  float gates[4][W];
#pragma unroll
  for (int gate = 0; gate < 4; ++gate) {
    const auto a = input.template load<W>(row, gate, size, unit), b = recurrent.template load<W>(row, gate, size, unit);
#pragma unroll
    for (int w = 0; w < W; ++w) gates[gate][w] = a[w] + b[w];
  }
  const auto previous = cell.template load<W>(row, 0, size, unit);
  float hidden_values[W], cell_values[W];
#pragma unroll
  for (int w = 0; w < W; ++w) {
    const LstmGates active = lstm_activate(gates[0][w], gates[1][w], gates[2][w], gates[3][w]);
    gates[0][w] = active.i;
    gates[1][w] = active.f;
    gates[2][w] = active.g;
    gates[3][w] = active.o;
    cell_values[w] = lstm_new_cell(active, previous[w]);
    hidden_values[w] = lstm_new_hidden(active, cell_values[w]);
  }
  store_floats(new_hidden + row * size + unit, hidden_values);
  store_floats(new_cell + row * size + unit, cell_values);
#pragma unroll
  for (int gate = 0; gate < 4; ++gate) store_floats(activations + (row * 4 + gate) * size + unit, gates[gate]);
}

template <int W, class S>
__global__ void __launch_bounds__(elementwise_threads)
    lstm_gates_backward_kernel(const Gates<S> grad_hidden, const Gates<S> grad_cell, const Gates<S> cell,
                               const Gates<S> new_cell, const Gates<float> activations, S* grad_gates, S* grad_previous,
                               int64_t rows, int64_t size) {
  int64_t row, unit;
  if (!place<W>(rows, size, &row, &unit)) return;
  const auto i = activations.template load<W>(row, 0, size, unit), f = activations.template load<W>(row, 1, size, unit),
             g = activations.template load<W>(row, 2, size, unit), o = activations.template load<W>(row, 3, size, unit);
  const auto before = cell.template load<W>(row, 0, size, unit), after = new_cell.template load<W>(row, 0, size, unit);
  float of_hidden[W] = {}, of_cell[W] = {};
  if (grad_hidden.data != nullptr) {
    const auto grad = grad_hidden.template load<W>(row, 0, size, unit);
#pragma unroll
    for (int w = 0; w < W; ++w) of_hidden[w] = grad[w];
  }
  if (grad_cell.data != nullptr) {
    const auto grad = grad_cell.template load<W>(row, 0, size, unit);
#pragma unroll
    for (int w = 0; w < W; ++w) of_cell[w] = grad[w];
  }
  float gates[4][W], previous[W];
#pragma unroll
  for (int w = 0; w < W; ++w) {
    const LstmGradients gradients =
        lstm_backward(of_hidden[w], of_cell[w], {i[w], f[w], g[w], o[w]}, before[w], after[w]);
    gates[0][w] = gradients.gates.i;
    gates[1][w] = gradients.gates.f;
    gates[2][w] = gradients.gates.g;
    gates[3][w] = gradients.gates.o;
    previous[w] = gradients.cell;
  }
#pragma unroll
  for (int gate = 0; gate < 4; ++gate) store_floats(grad_gates + (row * 4 + gate) * size + unit, gates[gate]);
  store_floats(grad_previous + row * size + unit, previous);
}

}  // namespace

cudaError_t lstm_gates_forward(int dtype, int state_dtype, const void* gates_input, int64_t input_stride,
                               const void* gates_hidden, int64_t hidden_gates_stride, const void* cell,
                               int64_t cell_stride, void* new_hidden, void* new_cell, float* activations, int64_t rows,
                               int64_t size, cudaStream_t stream) {
  return with_dtypes(dtype, state_dtype, [&](auto t, auto s) {
    using T = decltype(t);
    using S = decltype(s);
    const auto a = gates<T>(gates_input, input_stride), b = gates<T>(gates_hidden, hidden_gates_stride);
    const auto c = gates<S>(cell, cell_stride);
    return with_gates<T, S>(
        size,
        [&](auto width) {
          constexpr int W = decltype(width)::value;
          return launch(lstm_gates_kernel<W, T, S>, elementwise_blocks(rows, size, W), elementwise_threads, 0, stream,
                        a, b, c, static_cast<T*>(new_hidden), static_cast<S*>(new_cell), activations, rows, size);
        },
        a, b, c);
  });
}

cudaError_t lstm_gates_backward(int state_dtype, const void* grad_hidden, int64_t grad_hidden_stride,
                                const void* grad_cell, int64_t grad_cell_stride, const void* cell, int64_t cell_stride,
                                const void* new_cell, int64_t new_cell_stride, const float* activations,
                                void* grad_gates, void* grad_previous, int64_t rows, int64_t size,
                                cudaStream_t stream) {
  return with_dtype(state_dtype, [&](auto s) {
    using S = decltype(s);
    const auto gh = gates<S>(grad_hidden, grad_hidden_stride), gc = gates<S>(grad_cell, grad_cell_stride);
    const auto before = gates<S>(cell, cell_stride), after = gates<S>(new_cell, new_cell_stride);
    const Gates<float> saved{activations, 4 * size};
    return with_gates<S, S>(
        size,
        [&](auto width) {
          constexpr int W = decltype(width)::value;
          return launch(lstm_gates_backward_kernel<W, S>, elementwise_blocks(rows, size, W), elementwise_threads, 0,
                        stream, gh, gc, before, after, saved, static_cast<S*>(grad_gates),
                        static_cast<S*>(grad_previous), rows, size);
        },
        gh, gc, before, after, saved);
  });
}

}  // namespace seq2seq_fast
