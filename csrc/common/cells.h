// The arithmetic of recurrent cells after their matrix products, one unit at a time, forward and backward.
#pragma once

#include "common/host_device.h"

namespace seq2seq_fast {

HOST_DEVICE float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

HOST_DEVICE float sigmoid_derivative(float value) { return value * (1.0f - value); }
HOST_DEVICE float tanh_derivative(float value) { return fmaf(-value, value, 1.0f); }

// h' = (1 - z) n + z h.
HOST_DEVICE float gru_interpolate(float z, float n, float hidden) { return fmaf(z, hidden - n, n); }

struct GruGradients {
  float candidate, z, hidden;  // before n's tanh, of z's value, of hidden through the interpolation
};

HOST_DEVICE GruGradients gru_interpolate_backward(float grad, float z, float n, float hidden) {
  return {grad * (1.0f - z) * tanh_derivative(n), grad * (hidden - n), grad * z};
}

struct LstmGates {
  float i, f, g, o;
};

HOST_DEVICE LstmGates lstm_activate(float i, float f, float g, float o) {
  return {sigmoid(i), sigmoid(f), tanhf(g), sigmoid(o)};
}

HOST_DEVICE float lstm_new_cell(const LstmGates& gates, float cell) { return fmaf(gates.f, cell, gates.i * gates.g); }
HOST_DEVICE float lstm_new_hidden(const LstmGates& gates, float new_cell) { return gates.o * tanhf(new_cell); }

struct LstmGradients {
  LstmGates gates;  // before the activations
  float cell;
};

HOST_DEVICE LstmGradients lstm_backward(float grad_hidden, float grad_cell, const LstmGates& gates, float cell,
                                        float new_cell) {
  const float squashed = tanhf(new_cell);
  const float grad = fmaf(grad_hidden * gates.o, tanh_derivative(squashed), grad_cell);
  return {{grad * gates.g * sigmoid_derivative(gates.i), grad * cell * sigmoid_derivative(gates.f),
           grad * gates.i * tanh_derivative(gates.g), grad_hidden * squashed * sigmoid_derivative(gates.o)},
          grad * gates.f};
}

}  // namespace seq2seq_fast
