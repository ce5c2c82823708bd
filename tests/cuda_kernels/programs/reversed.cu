// Calls the decoder's reversed recurrence in one launch at small sizes, for sanitizers; the product
// of its last step is compared with double.
#include <cmath>
#include <memory>
#include <vector>

#include "cuda/launchers.h"
#include "tensors.h"

using namespace seq2seq_fast;

namespace {

struct Shape {
  int64_t batch, target, positions, units, hidden, gates;
  int blocks, rows, parts;
  bool keys_resident;
  bool masked = false;  // positions by a mask in place of lengths, and the state by another
};

template <class T>
void exercise(int dtype, const Shape& s) {
  const int64_t all = s.gates * s.hidden, rows = s.batch * s.target, depth = s.units + all;
  const int64_t stride = reversed_decoder_stride(dtype, s.units, s.hidden, s.gates, s.parts), padded = 16;
  Tensor<T> keys(s.batch * s.positions * s.units), transposed(s.hidden * depth), v(s.units);
  Tensor<T> projected(s.batch * s.positions * all), grad_product(s.target * padded * stride);
  Tensor<float> grad_states(rows * s.hidden), grad_weights(rows * s.positions), previous(rows * s.hidden);
  Tensor<float> cells(rows * s.hidden), activations(rows * 4 * s.hidden), weights(rows * s.positions);
  Tensor<float> queries(rows * s.units), grad_gates(rows * all), grad_scores(rows * s.positions);
  Tensor<float> partial(s.parts * s.batch * s.hidden), through(s.batch * s.hidden);
  unsigned seed = 0;
  for (auto* tensor : {&keys, &transposed, &v, &projected}) tensor->fill(++seed, 0.5f);
  for (auto* tensor : {&grad_states, &grad_weights, &previous, &cells, &activations, &weights, &queries})
    tensor->fill(++seed, 0.5f);
  for (auto* tensor : {&partial, &through}) tensor->fill(++seed, 0);
  grad_product.fill(++seed, 0);
  std::vector<int64_t> lengths(s.batch);
  for (int64_t b = 0; b < s.batch; ++b) lengths[b] = s.positions - b;
  const std::unique_ptr<bool[]> mask(new bool[s.batch * s.positions]);
  for (int64_t i = 0; i < s.batch * s.positions; ++i) mask[i] = i % 3 != 1;
  Tensor<float> state_mask(s.batch * s.hidden);
  for (int64_t i = 0; i < state_mask.count; ++i) state_mask.data[i] = i % 4 == 1 ? 0.0f : 1.25f;
  check("attention_decoder_backward",
        attention_decoder_backward(
            dtype, keys.data, s.masked ? nullptr : lengths.data(), s.masked ? mask.get() : nullptr, transposed.data,
            v.data, projected.data, s.masked ? state_mask.data : nullptr, grad_states.data, grad_weights.data,
            previous.data, cells.data, activations.data, weights.data, queries.data, grad_gates.data, grad_scores.data,
            grad_product.data, partial.data, through.data, s.batch, s.target, s.positions, s.units, s.hidden, s.gates,
            s.blocks, s.rows, s.parts, s.keys_resident, nullptr));
  for (int64_t i = 0; i < grad_gates.count; ++i)
    if (!std::isfinite(grad_gates[i])) ++failures;
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t unit = 0; unit < s.hidden; ++unit) {
      double sum = 0, truth = 0;
      for (int part = 0; part < s.parts; ++part) sum += partial[(part * s.batch + b) * s.hidden + unit];
      for (int64_t i = 0; i < depth; ++i) truth += double(grad_product[b * stride + i]) * transposed[unit * depth + i];
      if (!(std::fabs(sum - truth) < 1e-4)) ++failures;
    }
    for (int64_t i = depth; i < stride; ++i)
      if (grad_product[b * stride + i] != 0) ++failures;
  }
}

}  // namespace

int main() {
  const Shape shapes[] = {
      {2, 2, 7, 8, 40, 3, 4, 24, 2, true},    // blocks share a product's depth
      {3, 2, 5, 16, 16, 4, 2, 16, 2, false},  // a block has several sources
      {2, 2, 3, 8, 72, 1, 1, 72, 1, false},   // more rows than one product takes
  };
  for (const Shape& shape : shapes) {
    exercise<float>(float32, shape);
    exercise<BFloat16>(bfloat16, shape);
  }
  exercise<Half>(float16, {2, 2, 5, 8, 16, 4, 2, 16, 2, true, true});
  if (failures) printf("Error: %d differences\n", failures);
  return failures != 0;
}
