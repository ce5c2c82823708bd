// Gate arithmetic of the GRU in both published forms, around the matrix products.
#include "common/cells.h"
#include "cuda/elementwise.h"
#include "cuda/launchers.h"

namespace seq2seq_fast {
namespace {

template <int W, class T, class S>
__global__ void __launch_bounds__(elementwise_threads)
    gru_gates_kernel(const Gates<T> input, const Gates<T> recurrent, const Gates<S> hidden, S* new_hidden,
                     float* activations, int64_t activations_stride, int64_t rows, int64_t size) {
  int64_t row, unit;
  if (!place<W>(rows, size, &row, &unit)) return;
  const auto input_r = input.template load<W>(row, 0, size, unit), input_z = input.template load<W>(row, 1, size, unit),
             input_n = input.template load<W>(row, 2, size, unit);
  const auto hidden_r = recurrent.template load<W>(row, 0, size, unit),
             hidden_z = recurrent.template load<W>(row, 1, size, unit),
             hidden_n = recurrent.template load<W>(row, 2, size, unit);
  const auto state = hidden.template load<W>(row, 0, size, unit);
  float r[W], z[W], n[W], result[W];
#pragma unroll
  for (int w = 0; w < W; ++w) {
    r[w] = sigmoid(input_r[w] + hidden_r[w]);
    z[w] = sigmoid(input_z[w] + hidden_z[w]);
    n[w] = gru_candidate(r[w], input_n[w], hidden_n[w]);
    result[w] = gru_interpolate(z[w], n[w], state[w]);
  }
  store_floats(new_hidden + row * size + unit, result);
  float* saved = activations + row * activations_stride + unit;
  store_floats(saved, r);
  store_floats(saved + size, z);
  store_floats(saved + 2 * size, n);
}

template <int W, class T, class S>
__global__ void __launch_bounds__(elementwise_threads)
    gru_gates_backward_kernel(const Gates<S> grad, const Gates<T> recurrent, const Gates<S> hidden,
                              const Gates<float> activations, T* grad_input, T* grad_recurrent, S* grad_hidden,
                              int64_t rows, int64_t size) {
  int64_t row, unit;
  if (!place<W>(rows, size, &row, &unit)) return;
  const auto g = grad.template load<W>(row, 0, size, unit), state = hidden.template load<W>(row, 0, size, unit);
  const auto hidden_n = recurrent.template load<W>(row, 2, size, unit);
  const auto r = activations.template load<W>(row, 0, size, unit), z = activations.template load<W>(row, 1, size, unit),
             n = activations.template load<W>(row, 2, size, unit);
  float grad_r[W], grad_z[W], grad_n[W], grad_hidden_n[W], through[W];
#pragma unroll
  for (int w = 0; w < W; ++w) {
    const GruGradients gradients = gru_interpolate_backward(g[w], z[w], n[w], state[w]);
    grad_n[w] = gradients.candidate;
    grad_hidden_n[w] = gradients.candidate * r[w];
    grad_r[w] = gradients.candidate * hidden_n[w] * sigmoid_derivative(r[w]);
    grad_z[w] = gradients.z * sigmoid_derivative(z[w]);
    through[w] = gradients.hidden;
  }
  T* to_input = grad_input + row * 3 * size + unit;
  store_floats(to_input, grad_r);
  store_floats(to_input + size, grad_z);
  store_floats(to_input + 2 * size, grad_n);
  T* to_recurrent = grad_recurrent + row * 3 * size + unit;
  store_floats(to_recurrent, grad_r);
  store_floats(to_recurrent + size, grad_z);
  store_floats(to_recurrent + 2 * size, grad_hidden_n);
  store_floats(grad_hidden + row * size + unit, through);
}

template <int W, class T, class S>
__global__ void __launch_bounds__(elementwise_threads)
    gru_reset_kernel(const Gates<T> input, const Gates<T> recurrent, const Gates<S> hidden, S* reset_and_z,
                     float* activations, int64_t activations_stride, int64_t rows, int64_t size) {
  int64_t row, unit;
  if (!place<W>(rows, size, &row, &unit)) return;
  const auto input_r = input.template load<W>(row, 0, size, unit), input_z = input.template load<W>(row, 1, size, unit);
  const auto hidden_r = recurrent.template load<W>(row, 0, size, unit),
             hidden_z = recurrent.template load<W>(row, 1, size, unit);
  const auto state = hidden.template load<W>(row, 0, size, unit);
  float r[W], z[W], reset[W];
#pragma unroll
  for (int w = 0; w < W; ++w) {
    r[w] = sigmoid(input_r[w] + hidden_r[w]);
    z[w] = sigmoid(input_z[w] + hidden_z[w]);
    reset[w] = r[w] * state[w];
  }
  store_floats(reset_and_z + row * 2 * size + unit, reset);
  store_floats(reset_and_z + row * 2 * size + size + unit, z);
  store_floats(activations + row * activations_stride + unit, r);
  store_floats(activations + row * activations_stride + size + unit, z);
}

template <int W, class S>
__global__ void __launch_bounds__(elementwise_threads)
    gru_reset_backward_kernel(const Gates<S> grad, const Gates<S> hidden, const Gates<float> activations, S* grad_gates,
                              S* grad_hidden, int64_t rows, int64_t size) {
  int64_t row, unit;
  if (!place<W>(rows, size, &row, &unit)) return;
  const auto grad_reset = grad.template load<W>(row, 0, size, unit),
             grad_of_z = grad.template load<W>(row, 1, size, unit);
  const auto state = hidden.template load<W>(row, 0, size, unit);
  const auto r = activations.template load<W>(row, 0, size, unit), z = activations.template load<W>(row, 1, size, unit);
  float grad_r[W], grad_z[W], through[W];
#pragma unroll
  for (int w = 0; w < W; ++w) {
    grad_r[w] = grad_reset[w] * state[w] * sigmoid_derivative(r[w]);
    grad_z[w] = grad_of_z[w] * sigmoid_derivative(z[w]);
    through[w] = grad_reset[w] * r[w];
  }
  store_floats(grad_gates + row * 2 * size + unit, grad_r);
  store_floats(grad_gates + row * 2 * size + size + unit, grad_z);
  store_floats(grad_hidden + row * size + unit, through);
}

template <int W, class T, class S>
__global__ void __launch_bounds__(elementwise_threads)
    gru_update_kernel(const Gates<T> input, const Gates<T> recurrent, const Gates<S> update, const Gates<S> hidden,
                      S* new_hidden, float* activations, int64_t activations_stride, int64_t rows, int64_t size) {
  int64_t row, unit;
  if (!place<W>(rows, size, &row, &unit)) return;
  const auto from_input = input.template load<W>(row, 0, size, unit),
             from_hidden = recurrent.template load<W>(row, 0, size, unit);
  const auto z = update.template load<W>(row, 0, size, unit), state = hidden.template load<W>(row, 0, size, unit);
  float n[W], result[W];
#pragma unroll
  for (int w = 0; w < W; ++w) {
    n[w] = tanhf(from_input[w] + from_hidden[w]);
    result[w] = gru_interpolate(z[w], n[w], state[w]);
  }
  store_floats(new_hidden + row * size + unit, result);
  store_floats(activations + row * activations_stride + unit, n);
}

template <int W, class S>
__global__ void __launch_bounds__(elementwise_threads)
    gru_update_backward_kernel(const Gates<S> grad, const Gates<S> update, const Gates<S> hidden,
                               const Gates<float> activations, S* grad_candidate, S* grad_z, S* grad_hidden,
                               int64_t rows, int64_t size) {
  int64_t row, unit;
  if (!place<W>(rows, size, &row, &unit)) return;
  const auto g = grad.template load<W>(row, 0, size, unit), z = update.template load<W>(row, 0, size, unit),
             state = hidden.template load<W>(row, 0, size, unit);
  const auto n = activations.template load<W>(row, 0, size, unit);
  float candidate[W], of_z[W], through[W];
#pragma unroll
  for (int w = 0; w < W; ++w) {
    const GruGradients gradients = gru_interpolate_backward(g[w], z[w], n[w], state[w]);
    candidate[w] = gradients.candidate;
    of_z[w] = gradients.z;
    through[w] = gradients.hidden;
  }
  store_floats(grad_candidate + row * size + unit, candidate);
  store_floats(grad_z + row * size + unit, of_z);
  store_floats(grad_hidden + row * size + unit, through);
}

}  // namespace

cudaError_t gru_gates_forward(int dtype, int state_dtype, const void* gates_input, int64_t input_stride,
                              const void* gates_hidden, int64_t hidden_gates_stride, const void* hidden,
                              int64_t hidden_stride, void* new_hidden, float* activations, int64_t activations_stride,
                              int64_t rows, int64_t size, cudaStream_t stream) {
  return with_dtypes(dtype, state_dtype, [&](auto t, auto s) {
    using T = decltype(t);
    using S = decltype(s);
    const auto a = gates<T>(gates_input, input_stride), b = gates<T>(gates_hidden, hidden_gates_stride);
    const auto h = gates<S>(hidden, hidden_stride);
    return with_gates<T, S>(
        size,
        [&](auto width) {
          constexpr int W = decltype(width)::value;
          return launch(gru_gates_kernel<W, T, S>, elementwise_blocks(rows, size, W), elementwise_threads, 0, stream, a,
                        b, h, static_cast<S*>(new_hidden), activations, activations_stride, rows, size);
        },
        a, b, h, Gates<float>{activations, activations_stride});
  });
}

cudaError_t gru_gates_backward(int dtype, int state_dtype, const void* grad_hidden, int64_t grad_stride,
                               const void* gates_hidden, int64_t hidden_gates_stride, const void* hidden,
                               int64_t hidden_stride, const float* activations, int64_t activations_stride,
                               void* grad_gates_input, void* grad_gates_hidden, void* grad_previous, int64_t rows,
                               int64_t size, cudaStream_t stream) {
  return with_dtypes(dtype, state_dtype, [&](auto t, auto s) {
    using T = decltype(t);
    using S = decltype(s);
    const auto g = gates<S>(grad_hidden, grad_stride), h = gates<S>(hidden, hidden_stride);
    const auto b = gates<T>(gates_hidden, hidden_gates_stride);
    const Gates<float> saved{activations, activations_stride};
    return with_gates<T, S>(
        size,
        [&](auto width) {
          constexpr int W = decltype(width)::value;
          return launch(gru_gates_backward_kernel<W, T, S>, elementwise_blocks(rows, size, W), elementwise_threads, 0,
                        stream, g, b, h, saved, static_cast<T*>(grad_gates_input), static_cast<T*>(grad_gates_hidden),
                        static_cast<S*>(grad_previous), rows, size);
        },
        g, b, h, saved);
  });
}

cudaError_t gru_reset_forward(int dtype, int state_dtype, const void* gates_input, int64_t input_stride,
                              const void* gates_hidden, int64_t hidden_gates_stride, const void* hidden,
                              int64_t hidden_stride, void* reset_and_z, float* activations, int64_t activations_stride,
                              int64_t rows, int64_t size, cudaStream_t stream) {
  return with_dtypes(dtype, state_dtype, [&](auto t, auto s) {
    using T = decltype(t);
    using S = decltype(s);
    const auto a = gates<T>(gates_input, input_stride), b = gates<T>(gates_hidden, hidden_gates_stride);
    const auto h = gates<S>(hidden, hidden_stride);
    return with_gates<T, S>(
        size,
        [&](auto width) {
          constexpr int W = decltype(width)::value;
          return launch(gru_reset_kernel<W, T, S>, elementwise_blocks(rows, size, W), elementwise_threads, 0, stream, a,
                        b, h, static_cast<S*>(reset_and_z), activations, activations_stride, rows, size);
        },
        a, b, h, Gates<float>{activations, activations_stride});
  });
}

cudaError_t gru_reset_backward(int state_dtype, const void* grad, int64_t grad_stride, const void* hidden,
                               int64_t hidden_stride, const float* activations, int64_t activations_stride,
                               void* grad_gates, void* grad_hidden, int64_t rows, int64_t size, cudaStream_t stream) {
  return with_dtype(state_dtype, [&](auto s) {
    using S = decltype(s);
    const auto g = gates<S>(grad, grad_stride), h = gates<S>(hidden, hidden_stride);
    const Gates<float> saved{activations, activations_stride};
    return with_gates<S, S>(
        size,
        [&](auto width) {
          constexpr int W = decltype(width)::value;
          return launch(gru_reset_backward_kernel<W, S>, elementwise_blocks(rows, size, W), elementwise_threads, 0,
                        stream, g, h, saved, static_cast<S*>(grad_gates), static_cast<S*>(grad_hidden), rows, size);
        },
        g, h, saved);
  });
}

cudaError_t gru_update_forward(int dtype, int state_dtype, const void* candidate_input, int64_t input_stride,
                               const void* candidate_hidden, int64_t candidate_stride, const void* z, int64_t z_stride,
                               const void* hidden, int64_t hidden_stride, void* new_hidden, float* activations,
                               int64_t activations_stride, int64_t rows, int64_t size, cudaStream_t stream) {
  return with_dtypes(dtype, state_dtype, [&](auto t, auto s) {
    using T = decltype(t);
    using S = decltype(s);
    const auto a = gates<T>(candidate_input, input_stride), b = gates<T>(candidate_hidden, candidate_stride);
    const auto u = gates<S>(z, z_stride), h = gates<S>(hidden, hidden_stride);
    return with_gates<T, S>(
        size,
        [&](auto width) {
          constexpr int W = decltype(width)::value;
          return launch(gru_update_kernel<W, T, S>, elementwise_blocks(rows, size, W), elementwise_threads, 0, stream,
                        a, b, u, h, static_cast<S*>(new_hidden), activations, activations_stride, rows, size);
        },
        a, b, u, h, Gates<float>{activations, activations_stride});
  });
}

cudaError_t gru_update_backward(int state_dtype, const void* grad_hidden, int64_t grad_stride, const void* z,
                                int64_t z_stride, const void* hidden, int64_t hidden_stride, const float* activations,
                                int64_t activations_stride, void* grad_candidate, void* grad_z, void* grad_previous,
                                int64_t rows, int64_t size, cudaStream_t stream) {
  return with_dtype(state_dtype, [&](auto s) {
    using S = decltype(s);
    const auto g = gates<S>(grad_hidden, grad_stride), u = gates<S>(z, z_stride), h = gates<S>(hidden, hidden_stride);
    const Gates<float> saved{activations, activations_stride};
    return with_gates<S, S>(
        size,
        [&](auto width) {
          constexpr int W = decltype(width)::value;
          return launch(gru_update_backward_kernel<W, S>, elementwise_blocks(rows, size, W), elementwise_threads, 0,
                        stream, g, u, h, saved, static_cast<S*>(grad_candidate), static_cast<S*>(grad_z),
                        static_cast<S*>(grad_previous), rows, size);
        },
        g, u, h, saved);
  });
}

}  // namespace seq2seq_fast
