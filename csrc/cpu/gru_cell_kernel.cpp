#include "gru_cell_kernel.h"

#include "gates.h"
#include "parallel.h"

namespace seq2seq_fast::cpu {

void gru_gates(const GruGates& g) {
  dispatch_gates(g.gates, g.state, [&]<typename G, typename T>() {
    using A = accumulation_t<T>;
    parallel_rows(g.batch, 3 * g.size, [&](int64_t b) {
      gru_row(g.gates_input.at<const G>(b), g.gates_hidden.at<const G>(b), g.hidden.at<const T>(b), g.size,
              g.new_hidden.at<T>(b), g.activations.at<A>(b));
    });
  });
}

void gru_gates_backward(const GruGatesBackward& g) {
  dispatch_gates(g.gates, g.state, [&]<typename G, typename T>() {
    using A = accumulation_t<T>;
    parallel_rows(g.batch, 3 * g.size, [&](int64_t b) {
      gru_row_backward(g.grad.at<const T>(b), g.gates_hidden.at<const G>(b) + 2 * g.size, g.hidden.at<const T>(b),
                       g.activations.at<const A>(b), g.size, g.grad_input.at<G>(b), g.grad_hidden_gates.at<G>(b),
                       g.grad_hidden.at<T>(b));
    });
  });
}

void gru_reset(const GruReset& g) {
  dispatch_gates(g.gates, g.state, [&]<typename G, typename T>() {
    using A = accumulation_t<T>;
    parallel_rows(g.batch, 2 * g.size, [&](int64_t b) {
      gru_reset_row(g.gates_input.at<const G>(b), g.gates_hidden.at<const G>(b), g.hidden.at<const T>(b), g.size,
                    g.reset_and_z.at<T>(b), g.activations.at<A>(b));
    });
  });
}

void gru_reset_backward(const GruResetBackward& g) {
  dispatch(g.state, [&]<typename T>() {
    using A = accumulation_t<T>;
    parallel_rows(g.batch, 2 * g.size, [&](int64_t b) {
      gru_reset_row_backward(g.grad.at<const T>(b), g.hidden.at<const T>(b), g.activations.at<const A>(b), g.size,
                             g.grad_gates.at<T>(b), g.grad_hidden.at<T>(b));
    });
  });
}

void gru_update(const GruUpdate& g) {
  dispatch_gates(g.gates, g.state, [&]<typename G, typename T>() {
    using A = accumulation_t<T>;
    parallel_rows(g.batch, g.size, [&](int64_t b) {
      gru_update_row(g.candidate_input.at<const G>(b), g.candidate_hidden.at<const G>(b), g.z.at<const T>(b),
                     g.hidden.at<const T>(b), g.size, g.new_hidden.at<T>(b), g.activations.at<A>(b));
    });
  });
}

void gru_update_backward(const GruUpdateBackward& g) {
  dispatch(g.state, [&]<typename T>() {
    using A = accumulation_t<T>;
    parallel_rows(g.batch, g.size, [&](int64_t b) {
      gru_update_row_backward(g.grad.at<const T>(b), g.z.at<const T>(b), g.hidden.at<const T>(b),
                              g.activations.at<const A>(b), g.size, g.grad_candidate.at<T>(b), g.grad_z.at<T>(b),
                              g.grad_hidden.at<T>(b));
    });
  });
}

}  // namespace seq2seq_fast::cpu
