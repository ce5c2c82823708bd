// The arithmetic of gates, a vector of units at a time, forward and backward, and rows of it. Gates are stacked as in
// PyTorch: r, z, n for the GRU (Cho et al. 2014, arXiv 1406.1078), i, f, g, o for the LSTM (Hochreiter and Schmidhuber
// 1997). A row of gates is [G * size], one of a state [size]; activations are in the accumulation type.
#pragma once

#include "vec.h"

namespace seq2seq_fast::cpu {

// h' = n + z (h - n)
template <typename A>
SEQ2SEQ_FAST_INLINE Vec<A> interpolate(const Vec<A>& n, const Vec<A>& z, const Vec<A>& h) {
  return at::vec::fmadd(z, h - n, n);
}

// Reset after the product: r = sigmoid(i_r + h_r), z = sigmoid(i_z + h_z), n = tanh(i_n + r h_n), h' = n + z (h - n).
// activations receives r, z, n [3 * size]; null keeps nothing.
template <typename G, typename T>
inline void gru_row(const G* gates_input, const G* gates_hidden, const T* hidden, int64_t size, T* new_hidden,
                    accumulation_t<T>* activations) {
  using A = accumulation_t<T>;
  for_each_vector<A>(size, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const Vec<A> r = sigmoid<A>(load(gates_input + u, lanes) + load(gates_hidden + u, lanes));
    const Vec<A> z = sigmoid<A>(load(gates_input + size + u, lanes) + load(gates_hidden + size + u, lanes));
    const Vec<A> hidden_n = load(gates_hidden + 2 * size + u, lanes);
    const Vec<A> n = tanh<A>(at::vec::fmadd(r, hidden_n, load(gates_input + 2 * size + u, lanes)));
    store(new_hidden + u, interpolate<A>(n, z, load(hidden + u, lanes)), lanes);
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
    const Vec<A> d = load(grad + u, lanes);
    const Vec<A> r = load(activations + u, lanes);
    const Vec<A> z = load(activations + size + u, lanes);
    const Vec<A> n = load(activations + 2 * size + u, lanes);
    const Vec<A> before_n = through_tanh<A>(at::vec::fnmadd(d, z, d), n);
    const Vec<A> before_z = through_sigmoid<A>(d * (load(hidden + u, lanes) - n), z);
    const Vec<A> before_r = through_sigmoid<A>(before_n * load(hidden_n + u, lanes), r);
    store(grad_input + u, before_r, lanes);
    store(grad_input + size + u, before_z, lanes);
    store(grad_input + 2 * size + u, before_n, lanes);
    store(grad_hidden_gates + u, before_r, lanes);
    store(grad_hidden_gates + size + u, before_z, lanes);
    store(grad_hidden_gates + 2 * size + u, before_n * r, lanes);
    store(grad_hidden + u, d * z, lanes);
  });
}

// Reset before the product, first half: r, z = sigmoid(input + hidden gates) [2 * size], gives r h and z, stacked.
template <typename G, typename T>
inline void gru_reset_row(const G* gates_input, const G* gates_hidden, const T* hidden, int64_t size, T* reset_and_z,
                          accumulation_t<T>* activations) {
  using A = accumulation_t<T>;
  for_each_vector<A>(size, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const Vec<A> r = sigmoid<A>(load(gates_input + u, lanes) + load(gates_hidden + u, lanes));
    const Vec<A> z = sigmoid<A>(load(gates_input + size + u, lanes) + load(gates_hidden + size + u, lanes));
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
    store(grad_gates + u, through_sigmoid<A>(d * load(hidden + u, lanes), r), lanes);
    store(grad_gates + size + u, through_sigmoid<A>(load(grad + size + u, lanes), z), lanes);
    store(grad_hidden + u, d * r, lanes);
  });
}

// Second half: n = tanh(input + hidden summand), h' = n + z (h - n). activations receives n [size]; null keeps nothing.
template <typename G, typename Z, typename T>
inline void gru_update_row(const G* candidate_input, const G* candidate_hidden, const Z* z, const T* hidden,
                           int64_t size, T* new_hidden, accumulation_t<T>* activations) {
  using A = accumulation_t<T>;
  for_each_vector<A>(size, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const Vec<A> n = tanh<A>(load(candidate_input + u, lanes) + load(candidate_hidden + u, lanes));
    store(new_hidden + u, interpolate<A>(n, load(z + u, lanes), load(hidden + u, lanes)), lanes);
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
    const Vec<A> d = load(grad + u, lanes);
    const Vec<A> update = load(z + u, lanes);
    const Vec<A> n = load(activations + u, lanes);
    store(grad_candidate + u, through_tanh<A>(at::vec::fnmadd(d, update, d), n), lanes);
    store(grad_z + u, d * (load(hidden + u, lanes) - n), lanes);
    store(grad_hidden + u, d * update, lanes);
  });
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
    const Vec<A> i = sigmoid<A>(before(0));
    const Vec<A> f = sigmoid<A>(before(1));
    const Vec<A> g = tanh<A>(before(2));
    const Vec<A> o = sigmoid<A>(before(3));
    const Vec<A> c = at::vec::fmadd(f, load(cell + u, lanes), i * g);
    store(new_cell + u, c, lanes);
    store(new_hidden + u, o * tanh<A>(c), lanes);
    if (activations != nullptr) {
      store(activations + u, i, lanes);
      store(activations + size + u, f, lanes);
      store(activations + 2 * size + u, g, lanes);
      store(activations + 3 * size + u, o, lanes);
    }
  });
}

// Backward of lstm_row; a null gradient is zero. tanh(c') is taken again rather than kept.
template <typename D, typename E, typename G, typename C>
inline void lstm_row_backward(const D* grad_hidden, const E* grad_new_cell, const C* cell, const C* new_cell,
                              const accumulation_t<C>* activations, int64_t size, G* grad_gates, C* grad_cell) {
  using A = accumulation_t<C>;
  for_each_vector<A>(size, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    const Vec<A> i = load(activations + u, lanes);
    const Vec<A> f = load(activations + size + u, lanes);
    const Vec<A> g = load(activations + 2 * size + u, lanes);
    const Vec<A> o = load(activations + 3 * size + u, lanes);
    Vec<A> d_c = grad_new_cell == nullptr ? Vec<A>(0) : load(grad_new_cell + u, lanes);
    Vec<A> before_o(0);
    if (grad_hidden != nullptr) {
      const Vec<A> d_h = load(grad_hidden + u, lanes);
      const Vec<A> squashed = tanh<A>(load(new_cell + u, lanes));
      before_o = through_sigmoid<A>(d_h * squashed, o);
      d_c = d_c + through_tanh<A>(d_h * o, squashed);
    }
    store(grad_gates + u, through_sigmoid<A>(d_c * g, i), lanes);
    store(grad_gates + size + u, through_sigmoid<A>(d_c * load(cell + u, lanes), f), lanes);
    store(grad_gates + 2 * size + u, through_tanh<A>(d_c * i, g), lanes);
    store(grad_gates + 3 * size + u, before_o, lanes);
    store(grad_cell + u, d_c * f, lanes);
  });
}

}  // namespace seq2seq_fast::cpu
