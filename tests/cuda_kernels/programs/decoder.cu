// Calls the decoder in one launch at small sizes, for sanitizers; states are compared with double.
#include <cmath>
#include <memory>
#include <vector>

#include "cuda/launchers.h"
#include "tensors.h"

using namespace seq2seq_fast;

namespace {

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

struct Shape {
  int64_t batch, target, positions, units, hidden, gates;
  int blocks, rows, slices;
  bool keys_resident;
  bool masked = false;  // positions by a mask in place of lengths, and the state by another
};

template <class T>
void exercise(int dtype, const Shape& s) {
  const int64_t all = s.gates * s.hidden, rows = s.batch * s.target, stacked_rows = s.units + all;
  Tensor<T> keys(s.batch * s.positions * s.units), stacked(stacked_rows * s.hidden), v(s.units);
  Tensor<T> gates_input(rows * all), projected(s.batch * s.positions * all);
  Tensor<float> bias(stacked_rows), exponentials(keys.count), cell(s.batch * s.hidden);
  Tensor<float> state(s.batch * s.hidden), states(rows * s.hidden), weights(rows * s.positions);
  Tensor<float> queries(rows * s.units), cells(rows * s.hidden), activations(rows * 4 * s.hidden);
  Tensor<float> recurrent(s.batch * all);
  Tensor<T> exchanged((s.batch + 15) / 16 * 16 * decoder_stride(dtype, s.hidden));
  keys.fill(1, 1);
  stacked.fill(2, 0.5f);
  v.fill(3, 1);
  gates_input.fill(4, 1);
  projected.fill(5, 1);
  bias.fill(6, 0.5f);
  state.fill(7, 1);
  cell.fill(8, 1);
  exchanged.fill(9, 0);
  for (int64_t i = 0; i < keys.count; ++i) exponentials.data[i] = std::exp(2 * keys[i]);
  std::vector<int64_t> lengths(s.batch);
  std::vector<char> in_range(s.batch, 1);
  for (int64_t b = 0; b < s.batch; ++b) lengths[b] = s.positions - b;
  const std::unique_ptr<bool[]> mask(new bool[s.batch * s.positions]);
  for (int64_t i = 0; i < s.batch * s.positions; ++i) mask[i] = i % 3 != 1;
  Tensor<float> state_mask(s.batch * s.hidden);
  for (int64_t i = 0; i < state_mask.count; ++i) state_mask.data[i] = i % 4 == 1 ? 0.0f : 1.25f;
  const auto attended = [&](int64_t b, int64_t j) { return s.masked ? mask[b * s.positions + j] : j < lengths[b]; };
  check("attention_decoder_forward",
        attention_decoder_forward(dtype, true, keys.data, exponentials.data, reinterpret_cast<bool*>(in_range.data()),
                                  s.masked ? nullptr : lengths.data(), s.masked ? mask.get() : nullptr, stacked.data,
                                  bias.data, v.data, gates_input.data, projected.data,
                                  s.masked ? state_mask.data : nullptr, s.gates == 4 ? cell.data : nullptr, state.data,
                                  states.data, weights.data, queries.data, cells.data, activations.data, recurrent.data,
                                  exchanged.data, s.batch, s.target, s.positions, s.units, s.hidden, s.gates, s.blocks,
                                  s.rows, s.slices, s.keys_resident, nullptr));
  const double tolerance = sizeof(T) == 4 ? 1e-5 : 2e-2;
  for (int64_t b = 0; b < s.batch; ++b) {
    std::vector<double> h(s.hidden), c(s.hidden);
    for (int64_t u = 0; u < s.hidden; ++u) h[u] = state[b * s.hidden + u], c[u] = cell[b * s.hidden + u];
    for (int64_t step = 0; step < s.target; ++step) {
      for (int64_t u = 0; s.masked && u < s.hidden; ++u) h[u] *= state_mask[b * s.hidden + u];
      std::vector<double> product(stacked_rows), weight(s.positions), gates(all);
      for (int64_t r = 0; r < stacked_rows; ++r) {
        product[r] = bias[r];
        for (int64_t u = 0; u < s.hidden; ++u) product[r] += double(stacked[r * s.hidden + u]) * h[u];
      }
      double sum = 0;
      for (int64_t j = 0; j < s.positions; ++j) {
        if (!attended(b, j)) continue;
        double score = 0;
        for (int64_t a = 0; a < s.units; ++a)
          score += v[a] * std::tanh(product[a] + keys[(b * s.positions + j) * s.units + a]);
        sum += weight[j] = std::exp(score);
      }
      for (int64_t g = 0; g < all; ++g) {
        gates[g] = gates_input[(step * s.batch + b) * all + g];
        for (int64_t j = 0; j < s.positions; ++j)
          gates[g] += weight[j] / sum * projected[(b * s.positions + j) * all + g];
      }
      for (int64_t u = 0; u < s.hidden; ++u) {
        const auto gate = [&](int64_t k) { return gates[k * s.hidden + u]; };
        const auto inner = [&](int64_t k) { return product[s.units + k * s.hidden + u]; };
        if (s.gates == 1) {
          h[u] = std::tanh(gate(0) + inner(0));
        } else if (s.gates == 3) {
          const double r = sigmoid_of(gate(0) + inner(0)), z = sigmoid_of(gate(1) + inner(1));
          h[u] = (1 - z) * std::tanh(gate(2) + r * inner(2)) + z * h[u];
        } else {
          c[u] = sigmoid_of(gate(1) + inner(1)) * c[u] + sigmoid_of(gate(0) + inner(0)) * std::tanh(gate(2) + inner(2));
          h[u] = sigmoid_of(gate(3) + inner(3)) * std::tanh(c[u]);
        }
        if (!(std::fabs(h[u] - states[(step * s.batch + b) * s.hidden + u]) < tolerance)) ++failures;
      }
    }
  }
}

}  // namespace

int main() {
  const Shape shapes[] = {
      {2, 2, 7, 8, 40, 3, 4, 32, 2, true},    // blocks share a source and a product's depth
      {3, 2, 5, 16, 16, 4, 2, 40, 1, false},  // a block has several sources
      {2, 2, 3, 8, 24, 4, 1, 104, 1, false},  // more rows than one product takes
  };
  for (const Shape& shape : shapes) {
    exercise<float>(float32, shape);
    exercise<BFloat16>(bfloat16, shape);
  }
  exercise<Half>(float16, {2, 2, 5, 8, 16, 1, 4, 8, 2, true, true});
  exercise<float>(float32, {2, 2, 5, 8, 16, 3, 2, 32, 1, true, true});
  if (failures) printf("Error: %d differences\n", failures);
  return failures != 0;
}
