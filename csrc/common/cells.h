// The arithmetic of recurrent cells after their matrix products, forward and backward: the GRU of Cho et al. 2014
// (arXiv 1406.1078) and the LSTM of Hochreiter and Schmidhuber 1997, gates named as in PyTorch.
#pragma once

#include "common/host_device.h"

namespace seq2seq_fast {

template <class N>
HOST_DEVICE N sigmoid(const N& x) {
  return N(1) / (N(1) + exponential(-x));
}

// From the functions' values.
template <class N>
HOST_DEVICE N sigmoid_derivative(const N& value) {
  return fnmadd(value, value, value);
}
template <class N>
HOST_DEVICE N tanh_derivative(const N& value) {
  return fnmadd(value, value, N(1));
}

// n, with the reset after the product: r multiplies what the state's product gave.
template <class N>
HOST_DEVICE N gru_candidate(const N& r, const N& from_input, const N& from_hidden) {
  return tanh(fmadd(r, from_hidden, from_input));
}

// h' = (1 - z) n + z h.
template <class N>
HOST_DEVICE N gru_interpolate(const N& z, const N& n, const N& hidden) {
  return fmadd(z, hidden - n, n);
}

template <class N>
struct GruGradients {
  N candidate, z, hidden;  // before n's tanh, of z's value, of hidden through the interpolation
};

template <class N>
HOST_DEVICE GruGradients<N> gru_interpolate_backward(const N& grad, const N& z, const N& n, const N& hidden) {
  return {fnmadd(grad, z, grad) * tanh_derivative(n), grad * (hidden - n), grad * z};
}

template <class N>
struct LstmGates {
  N i, f, g, o;
};

template <class N>
HOST_DEVICE LstmGates<N> lstm_activate(const N& i, const N& f, const N& g, const N& o) {
  return {sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)};
}

template <class N>
HOST_DEVICE N lstm_new_cell(const LstmGates<N>& gates, const N& cell) {
  return fmadd(gates.f, cell, gates.i * gates.g);
}
template <class N>
HOST_DEVICE N lstm_new_hidden(const LstmGates<N>& gates, const N& new_cell) {
  return gates.o * tanh(new_cell);
}

template <class N>
struct LstmGradients {
  LstmGates<N> gates;  // before the activations
  N cell;
};

// tanh(c') is taken again rather than kept.
template <class N>
HOST_DEVICE LstmGradients<N> lstm_backward(const N& grad_hidden, const N& grad_cell, const LstmGates<N>& gates,
                                           const N& cell, const N& new_cell) {
  const N squashed = tanh(new_cell);
  const N grad = fmadd(grad_hidden * gates.o, tanh_derivative(squashed), grad_cell);
  return {{grad * gates.g * sigmoid_derivative(gates.i), grad * cell * sigmoid_derivative(gates.f),
           grad * gates.i * tanh_derivative(gates.g), grad_hidden * squashed * sigmoid_derivative(gates.o)},
          grad * gates.f};
}

}  // namespace seq2seq_fast
