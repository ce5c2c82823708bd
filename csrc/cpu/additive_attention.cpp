// The raw operators of attend; schemas in seq2seq_fast/ops/schemas.py.
#include <array>
#include <optional>
#include <tuple>

#include "additive_attention_kernel.h"
#include "attention_tensors.h"

namespace seq2seq_fast::cpu {
namespace {

class AttendTensors {
 public:
  AttendTensors(const Tensor& query, const Tensor& keys, const Tensor& values, const Tensor& exponentials,
                const Tensor& in_range, const Tensor& v, const MaybeTensor& lengths, const MaybeTensor& mask)
      : scores_(query, keys, exponentials, in_range, v),
        positions_(visited_positions(keys.size(0), keys.size(1), lengths, mask)) {
    SEQ2SEQ_FAST_CHECK(values.dim() == 3, "values must be [B, Tx, D], got ", to_text(values.shape()));
    check_shape("values", values, {keys.size(0), keys.size(1), values.size(2)});
    check_type("values", values, keys.scalar_type());
    values_ = values.contiguous();
  }

  AttendInputs inputs() const { return {scores_.inputs(), values_.data_ptr(), values_.size(2), positions_}; }
  const ScoreTensors& scores() const { return scores_; }

 private:
  ScoreTensors scores_;
  Positions positions_;
  Tensor values_;
};

std::tuple<Tensor, Tensor, Tensor> attend_forward(const Tensor& query, const Tensor& keys, const Tensor& values,
                                                  const Tensor& exponentials, const Tensor& in_range, const Tensor& v,
                                                  const MaybeTensor& lengths, const MaybeTensor& mask,
                                                  bool need_weights) {
  const AttendTensors tensors(query, keys, values, exponentials, in_range, v, lengths, mask);
  const AttendInputs inputs = tensors.inputs();
  const int64_t batch = inputs.scores.batch, queries = inputs.scores.queries;
  const ScalarType type = tensors.scores().accumulation();
  const Tensor context = Tensor::empty({batch, queries, inputs.size}, values.scalar_type());
  const Tensor weights = need_weights ? Tensor::empty({batch, queries, inputs.scores.source}, type) : not_needed(type);
  const Tensor logsumexp = Tensor::empty({batch, queries}, type);
  attend(inputs, context.data_ptr(), need_weights ? weights.data_ptr() : nullptr, logsumexp.data_ptr());
  return {context, weights, logsumexp};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> attend_backward_(const Tensor& grad_context, const MaybeTensor& grad_weights,
                                                            const Tensor& query, const Tensor& keys,
                                                            const Tensor& values, const Tensor& exponentials,
                                                            const Tensor& in_range, const Tensor& v,
                                                            const MaybeTensor& lengths, const MaybeTensor& mask,
                                                            const Tensor& /*context*/, const Tensor& weights,
                                                            const Tensor& /*logsumexp*/, std::array<bool, 4> needs) {
  const AttendTensors tensors(query, keys, values, exponentials, in_range, v, lengths, mask);
  const AttendInputs inputs = tensors.inputs();
  const ScoreTensors& scores = tensors.scores();
  const int64_t batch = inputs.scores.batch, queries = inputs.scores.queries, source = inputs.scores.source;
  const bool has_weights = weights.dim() == 3;
  check_shape("grad_context", grad_context, {batch, queries, inputs.size});
  const Tensor grad = scores.accumulated(grad_context);
  Tensor more, saved;
  if (grad_weights.has_value()) {
    check_shape("grad_weights", *grad_weights, {batch, queries, source});
    more = scores.accumulated(*grad_weights);
  }
  if (has_weights) {
    check_shape("weights", weights, {batch, queries, source});
    saved = scores.accumulated(weights);
  }
  const ScoreGradientTensors made(scores, needs[0], needs[1] || needs[3]);
  const bool need_scores = needs[0] || needs[1] || needs[3];
  Tensor grad_values =
      needs[2] ? Tensor::empty(values.shape(), scores.accumulation()) : not_needed(values.scalar_type());
  if (queries == 0) {
    grad_values.zero_();
  } else if (need_scores || needs[2]) {
    attend_backward(inputs,
                    {grad.data_ptr(), grad_weights.has_value() ? more.data_ptr() : nullptr,
                     has_weights ? saved.data_ptr() : nullptr, made.query(), need_scores ? made.keys() : nullptr,
                     needs[2] ? grad_values.data_ptr() : nullptr, need_scores ? made.v() : nullptr});
  }
  return {made.query_as(query, needs[0]), made.keys_as(keys, needs[1]), grad_values.to(values.scalar_type()),
          made.v_as(v, needs[3])};
}

STABLE_TORCH_LIBRARY_IMPL(seq2seq_fast_cpu, CPU, m) {
  m.impl("attend_forward", TORCH_BOX(&attend_forward));
  m.impl("attend_backward", TORCH_BOX(&attend_backward_));
}

}  // namespace
}  // namespace seq2seq_fast::cpu
