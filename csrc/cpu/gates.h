// Rows of gates, forward and backward, a vector of units at a time. Gates are stacked as in PyTorch: r, z, n for the
// GRU, i, f, g, o for the LSTM. A row of gates is [G * size], one of a state [size]; activations are in the
// accumulation type.
#pragma once

#include "formulas.h"

namespace seq2seq_fast::cpu {

// Reset after the product: r = sigmoid(i_r + h_r), z = sigmoid(i_z + h_z), n = tanh(i_n + r h_n), h' = n + z (h - n).
// activations receives r, z, n [3 * size]; null keeps nothing.
template <typename G, typename T>
inline void gru_row(const G* gates_input, const G* gates_hidden, const T* hidden, int64_t size, T* new_hidden,
                    accumulation_t<T>* activations) {
  using A = accumulation_t<T>;
  for_each_vector<A>(size, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const Vec<A> r = sigmoid(load(gates_input + u, lanes) + load(gates_hidden + u, lanes));
    const Vec<A> z = sigmoid(load(gates_input + size + u, lanes) + load(gates_hidden + size + u, lanes));
    const Vec<A> n =
        gru_candidate(r, load(gates_input + 2 * size + u, lanes), load(gates_hidden + 2 * size + u, lanes));
    store(new_hidden + u, gru_interpolate(z, n, load(hidden + u, lanes)), lanes);
    if (activations != nullptr) {
      store(activations + u, r, lanes);
      store(activations + size + u, z, lanes);
      store(activations + 2 * size + u, n, lanes);
    }
  });
}

// Backward of gru_row. hidden_n [size] is the summand of n that r multiplies. grad_input and grad_hidden_gates differ
// in n alone; grad_hidden receives z * grad, what reaches the previous state beside the products.
template <typename D, typename N, typename G, typename T>
inline void gru_row_backward(const D* grad, const N* hidden_n, const T* hidden, const accumulation_t<T>* activations,
                             int64_t size, G* grad_input, G* grad_hidden_gates, T* grad_hidden) {
  using A = accumulation_t<T>;
  for_each_vector<A>(size, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const Vec<A> r = load(activations + u, lanes);
    const Vec<A> z = load(activations + size + u, lanes);
    const Vec<A> n = load(activations + 2 * size + u, lanes);
    const auto through = gru_interpolate_backward(load(grad + u, lanes), z, n, load(hidden + u, lanes));
    const Vec<A> before_r = through.candidate * load(hidden_n + u, lanes) * sigmoid_derivative(r);
    const Vec<A> before_z = through.z * sigmoid_derivative(z);
    store(grad_input + u, before_r, lanes);
    store(grad_input + size + u, before_z, lanes);
    store(grad_input + 2 * size + u, through.candidate, lanes);
    store(grad_hidden_gates + u, before_r, lanes);
    store(grad_hidden_gates + size + u, before_z, lanes);
    store(grad_hidden_gates + 2 * size + u, through.candidate * r, lanes);
    store(grad_hidden + u, through.hidden, lanes);
  });
}

// Reset before the product, first half: r, z = sigmoid(input + hidden gates) [2 * size], gives r h and z, stacked.
template <typename G, typename T>
inline void gru_reset_row(const G* gates_input, const G* gates_hidden, const T* hidden, int64_t size, T* reset_and_z,
                          accumulation_t<T>* activations) {
  using A = accumulation_t<T>;
  for_each_vector<A>(size, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const Vec<A> r = sigmoid(load(gates_input + u, lanes) + load(gates_hidden + u, lanes));
    const Vec<A> z = sigmoid(load(gates_input + size + u, lanes) + load(gates_hidden + size + u, lanes));
    store(reset_and_z + u, r * load(hidden + u, lanes), lanes);
    store(reset_and_z + size + u, z, lanes);
    if (activations != nullptr) {
      store(activations + u, r, lanes);
      store(activations + size + u, z, lanes);
    }
  });
}

// Backward of gru_reset_row: grad [2 * size] is that of r h and z.
template <typename D, typename G, typename T>
inline void gru_reset_row_backward(const D* grad, const T* hidden, const accumulation_t<T>* activations, int64_t size,
                                   G* grad_gates, T* grad_hidden) {
  using A = accumulation_t<T>;
  for_each_vector<A>(size, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const Vec<A> d = load(grad + u, lanes);
    const Vec<A> r = load(activations + u, lanes);
    const Vec<A> z = load(activations + size + u, lanes);
    store(grad_gates + u, d * load(hidden + u, lanes) * sigmoid_derivative(r), lanes);
    store(grad_gates + size + u, load(grad + size + u, lanes) * sigmoid_derivative(z), lanes);
    store(grad_hidden + u, d * r, lanes);
  });
}

// Second half: n = tanh(input + hidden summand), h' = n + z (h - n). activations receives n [size]; null keeps nothing.
template <typename G, typename Z, typename T>
inline void gru_update_row(const G* candidate_input, const G* candidate_hidden, const Z* z, const T* hidden,
                           int64_t size, T* new_hidden, accumulation_t<T>* activations) {
  using A = accumulation_t<T>;
  for_each_vector<A>(size, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const Vec<A> n = tanh(load(candidate_input + u, lanes) + load(candidate_hidden + u, lanes));
    store(new_hidden + u, gru_interpolate(load(z + u, lanes), n, load(hidden + u, lanes)), lanes);
    if (activations != nullptr) {
      store(activations + u, n, lanes);
    }
  });
}

// Backward of gru_update_row: of the candidate (the same for both summands), of z and of the previous state.
template <typename D, typename Z, typename G, typename T>
inline void gru_update_row_backward(const D* grad, const Z* z, const T* hidden, const accumulation_t<T>* activations,
                                    int64_t size, G* grad_candidate, Z* grad_z, T* grad_hidden) {
  using A = accumulation_t<T>;
  for_each_vector<A>(size, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const auto through = gru_interpolate_backward(load(grad + u, lanes), load(z + u, lanes),
                                                  load(activations + u, lanes), load(hidden + u, lanes));
    store(grad_candidate + u, through.candidate, lanes);
    store(grad_z + u, through.z, lanes);
    store(grad_hidden + u, through.hidden, lanes);
  });
}

template <typename A, typename T, typename Lanes>
SEQ2SEQ_FAST_INLINE void store_gates(const seq2seq_fast::LstmGates<Vec<A>>& gates, T* to, int64_t size, int64_t u,
                                     Lanes lanes) {
  store(to + u, gates.i, lanes);
  store(to + size + u, gates.f, lanes);
  store(to + 2 * size + u, gates.g, lanes);
  store(to + 3 * size + u, gates.o, lanes);
}

// c' = f c + i g, h' = o tanh(c') with i, f, o = sigmoid and g = tanh of the sums of both gates' products.
// activations receives i, f, g, o [4 * size]; null keeps nothing.
template <typename G, typename H, typename C>
inline void lstm_row(const G* gates_input, const G* gates_hidden, const C* cell, int64_t size, H* new_hidden,
                     C* new_cell, accumulation_t<C>* activations) {
  using A = accumulation_t<C>;
  for_each_vector<A>(size, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const auto before = [&](int64_t gate) SEQ2SEQ_FAST_LAMBDA -> Vec<A> {
      return load(gates_input + gate * size + u, lanes) + load(gates_hidden + gate * size + u, lanes);
    };
    const auto gates = lstm_activate(before(0), before(1), before(2), before(3));
    const Vec<A> c = lstm_new_cell(gates, load(cell + u, lanes));
    store(new_cell + u, c, lanes);
    store(new_hidden + u, lstm_new_hidden(gates, c), lanes);
    if (activations != nullptr) {
      store_gates(gates, activations, size, u, lanes);
    }
  });
}

// Backward of lstm_row; a null gradient is zero.
template <typename D, typename E, typename G, typename C>
inline void lstm_row_backward(const D* grad_hidden, const E* grad_new_cell, const C* cell, const C* new_cell,
                              const accumulation_t<C>* activations, int64_t size, G* grad_gates, C* grad_cell) {
  using A = accumulation_t<C>;
  for_each_vector<A>(size, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const auto gradient = [&](const auto* from)
                              SEQ2SEQ_FAST_LAMBDA { return from ? load(from + u, lanes) : Vec<A>(0); };
    const auto activation = [&](int64_t gate)
                                SEQ2SEQ_FAST_LAMBDA { return load(activations + gate * size + u, lanes); };
    const auto through = lstm_backward(gradient(grad_hidden), gradient(grad_new_cell),
                                       {activation(0), activation(1), activation(2), activation(3)},
                                       load(cell + u, lanes), load(new_cell + u, lanes));
    store_gates(through.gates, grad_gates, size, u, lanes);
    store(grad_cell + u, through.cell, lanes);
  });
}

}  // namespace seq2seq_fast::cpu
