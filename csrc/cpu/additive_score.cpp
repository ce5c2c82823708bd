// The raw operators of additive_score; schemas in seq2seq_fast/ops/schemas.py.
#include <array>
#include <tuple>

#include "additive_score_kernel.h"
#include "attention_tensors.h"

namespace seq2seq_fast::cpu {
namespace {

Tensor score_forward(const Tensor& query, const Tensor& keys, const Tensor& exponentials, const Tensor& in_range,
                     const Tensor& v) {
  const ScoreTensors tensors(query, keys, exponentials, in_range, v);
  const ScoreInputs inputs = tensors.inputs();
  const Tensor scores = Tensor::empty({inputs.batch, inputs.queries, inputs.source}, inputs.type);
  additive_score(inputs, scores.data_ptr());
  return scores.to(query.scalar_type());
}

std::tuple<Tensor, Tensor, Tensor> score_backward(const Tensor& grad_scores, const Tensor& query, const Tensor& keys,
                                                  const Tensor& exponentials, const Tensor& in_range, const Tensor& v,
                                                  std::array<bool, 3> needs) {
  const ScoreTensors tensors(query, keys, exponentials, in_range, v);
  const ScoreInputs inputs = tensors.inputs();
  check_shape("grad_scores", grad_scores, {inputs.batch, inputs.queries, inputs.source});
  const Tensor grad = tensors.accumulated(grad_scores);
  const ScoreGradientTensors made(tensors, needs[0], needs[1] || needs[2]);
  if (made.needed()) {
    additive_score_backward(inputs, grad.data_ptr(), made.query(), made.keys(), made.v());
  }
  return {made.query_as(query, needs[0]), made.keys_as(keys, needs[1]), made.v_as(v, needs[2])};
}

STABLE_TORCH_LIBRARY_IMPL(seq2seq_fast_cpu, CPU, m) {
  m.impl("additive_score_forward", TORCH_BOX(&score_forward));
  m.impl("additive_score_backward", TORCH_BOX(&score_backward));
}

}  // namespace
}  // namespace seq2seq_fast::cpu
