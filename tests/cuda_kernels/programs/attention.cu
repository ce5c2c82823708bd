// Calls the launchers that have barriers, at odd shapes, for sanitizers; weights and contexts are compared with double.
#include <cmath>
#include <memory>
#include <vector>

#include "cuda/launchers.h"
#include "tensors.h"

using namespace seq2seq_fast;

namespace {

constexpr int64_t most_shared_bytes = 227 * 1024;

struct Shape {
  int64_t batch, queries, positions, units, size, chunk;
  float scale;
  bool masked = false;  // in place of lengths; the weights are not kept, but made again from the scores
};

// What a position's source has of it: null lengths and mask for all.
struct Attended {
  const int64_t* lengths;
  const bool* mask;
  int64_t positions;

  bool operator()(int64_t b, int64_t j) const {
    return (lengths == nullptr || j < lengths[b]) && (mask == nullptr || mask[b * positions + j]);
  }
};

template <class T>
void compare(const Shape& s, const Tensor<T>& query, const Tensor<T>& keys, const Tensor<T>& values, const Tensor<T>& v,
             const Attended& attended, const Tensor<float>& weights, const Tensor<T>& context) {
  const double tolerance = sizeof(T) == 4 ? 1e-5 : 2e-2;
  std::vector<double> row(s.positions);
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t q = b * s.queries; q < (b + 1) * s.queries; ++q) {
      double sum = 0;
      for (int64_t j = 0; j < s.positions; ++j) {
        double score = 0;
        for (int64_t a = 0; a < s.units; ++a)
          score += v[a] * std::tanh(double(query[q * s.units + a]) + keys[(b * s.positions + j) * s.units + a]);
        row[j] = attended(b, j) ? std::exp(score) : 0;
        sum += row[j];
      }
      for (int64_t j = 0; j < s.positions; ++j) {
        row[j] = sum == 0 ? 0 : row[j] / sum;
        if (!s.masked && !(std::fabs(row[j] - weights[q * s.positions + j]) < 1e-5)) ++failures;
      }
      for (int64_t d = 0; d < s.size; ++d) {
        double truth = 0;
        for (int64_t j = 0; j < s.positions; ++j) truth += row[j] * values[(b * s.positions + j) * s.size + d];
        if (!(std::fabs(truth - context[q * s.size + d]) < tolerance)) ++failures;
      }
    }
}

template <class T>
void exercise(int dtype, const Shape& s) {
  const int64_t rows = s.batch * s.queries, splits = (s.positions + s.chunk - 1) / s.chunk;
  Tensor<T> query(rows * s.units), keys(s.batch * s.positions * s.units), values(s.batch * s.positions * s.size);
  Tensor<T> v(s.units), context(rows * s.size), scores(rows * s.positions);
  query.fill(1, s.scale);
  keys.fill(2, s.scale);
  values.fill(3, 1);
  v.fill(4, 1);
  Tensor<float> exponentials(keys.count), weights(rows * s.positions), logsumexp(rows);
  const int64_t elements = s.positions * s.units, parts = key_exponentials_parts(elements);
  std::unique_ptr<bool[]> part_in_range(new bool[s.batch * parts]), in_range(new bool[s.batch]);
  check("key_exponentials",
        key_exponentials(dtype, keys.data, exponentials.data, part_in_range.get(), s.batch, elements, nullptr));
  std::vector<int64_t> lengths(s.batch);
  for (int64_t b = 0; b < s.batch; ++b) {
    lengths[b] = s.positions - b * s.positions / 2;
    in_range[b] = true;
    for (int64_t i = 0; i < parts; ++i) in_range[b] = in_range[b] && part_in_range[b * parts + i];
  }
  std::unique_ptr<bool[]> mask(new bool[s.batch * s.positions]);
  for (int64_t i = 0; i < s.batch * s.positions; ++i) mask[i] = i % 3 != 1;
  const Attended attended{s.masked ? nullptr : lengths.data(), s.masked ? mask.get() : nullptr, s.positions};
  Tensor<float> partial(splits > 1 ? splits * (2 + s.size) * rows : 1);
  check("attend_forward",
        attend_forward(dtype, query.data, keys.data, values.data, exponentials.data, in_range.get(), v.data,
                       attended.lengths, attended.mask, context.data, s.masked ? nullptr : weights.data, logsumexp.data,
                       splits > 1 ? partial.data : nullptr, s.units, s.batch, s.queries, s.positions, s.units, s.size,
                       s.chunk, most_shared_bytes, nullptr));
  compare(s, query, keys, values, v, attended, weights, context);
  check("additive_score_forward",
        additive_score_forward(dtype, query.data, keys.data, exponentials.data, in_range.get(), v.data, scores.data,
                               false, s.batch, s.queries, s.positions, s.units, s.chunk, most_shared_bytes, nullptr));
  if (s.masked)
    check("additive_score_forward",
          additive_score_forward(dtype, query.data, keys.data, exponentials.data, in_range.get(), v.data, weights.data,
                                 true, s.batch, s.queries, s.positions, s.units, s.chunk, most_shared_bytes, nullptr));
  Tensor<float> grads(rows * s.positions);
  check("attend_backward_weights",
        attend_backward_weights(dtype, context.data, values.data, nullptr, grads.data, s.batch, s.queries, s.positions,
                                s.size, s.chunk, most_shared_bytes, nullptr));
  check("attend_backward_softmax",
        attend_backward_softmax(weights.data, grads.data, s.masked ? logsumexp.data : nullptr, attended.lengths,
                                attended.mask, s.batch, s.queries, s.positions, nullptr));
  Tensor<T> grad_values(values.count), grad_query(query.count);
  check("attend_backward_values", attend_backward_values(dtype, context.data, weights.data, grad_values.data, s.batch,
                                                         s.queries, s.positions, s.size, nullptr));
  const ScoreBackwardPlan plan = score_backward_plan(dtype, s.batch, s.queries, s.positions, s.units, true, 4);
  Tensor<float> parts_of_query(plan.splits * query.count), parts_of_v(plan.rows_of_v * s.units);
  check("additive_score_backward",
        additive_score_backward(dtype, query.data, keys.data, v.data, grads.data, s.queries * s.positions, s.positions,
                                1, plan.splits > 1 ? nullptr : grad_query.data,
                                plan.splits > 1 ? parts_of_query.data : nullptr, parts_of_v.data, s.batch, s.queries,
                                s.positions, s.units, plan.splits, true, nullptr));
  for (int64_t i = 0; i < parts_of_v.count; ++i)
    if (!std::isfinite(parts_of_v[i])) ++failures;
}

// One key beyond the range, far from the first thread's, puts its source out of range and no other.
template <class T>
void find_a_far_key(int dtype) {
  const int64_t batch = 2, elements = 1000, parts = key_exponentials_parts(elements);
  Tensor<T> keys(batch * elements);
  keys.fill(2, 1);
  keys.data[batch * elements - 1] = from_float<T>(41.0f);
  Tensor<float> exponentials(keys.count);
  std::unique_ptr<bool[]> part_in_range(new bool[batch * parts]);
  check("key_exponentials",
        key_exponentials(dtype, keys.data, exponentials.data, part_in_range.get(), batch, elements, nullptr));
  for (int64_t i = 0; i < batch * parts; ++i)
    if (part_in_range[i] != (i + 1 < batch * parts)) ++failures;
}

}  // namespace

int main() {
  const Shape shapes[] = {
      {2, 1, 37, 40, 24, 64, 1},  // one query, one chunk, vectors
      {2, 1, 37, 40, 24, 16, 1},  // chunks
      {2, 1, 21, 33, 17, 16, 1},  // single elements
      {2, 5, 19, 40, 24, 32, 1},  // queries in tiles, the last not full
      {1, 5, 19, 9, 7, 16, 1},    // small rows
      {2, 3, 9, 16, 8, 16, 60},   // out of the exponentials' range
  };
  for (const Shape& shape : shapes) {
    exercise<float>(float32, shape);
    exercise<BFloat16>(bfloat16, shape);
  }
  const Shape masked[] = {
      {2, 1, 37, 40, 24, 16, 1, true},  // one query, chunks
      {2, 5, 19, 33, 17, 32, 1, true},  // queries in tiles, single elements
  };
  for (const Shape& shape : masked) exercise<Half>(float16, shape);
  find_a_far_key<float>(float32);
  find_a_far_key<BFloat16>(bfloat16);
  if (failures) printf("Error: %d differences\n", failures);
  return failures != 0;
}
