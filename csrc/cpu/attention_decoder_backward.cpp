// attention_decoder_backward: the reversed recurrence, then what all positions add up to, as a few large products.
#include "attention_decoder.h"
#include "recurrent_weight_gradient.h"

namespace seq2seq_fast::cpu {
namespace {

using Gradients =
    std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

// The gradient of a result, [Ty, B, width], with dense rows in any order.
template <typename A>
typename DecoderBackward<A>::Incoming incoming(const MaybeTensor& grad) {
  if (!grad || grad->numel() == 0) {
    return {};
  }
  return {{grad->data_ptr<const A>(), grad->stride(1)}, grad->stride(0)};
}

MaybeTensor dense_last(const MaybeTensor& grad, ScalarType type) {
  if (!grad) {
    return grad;
  }
  const Tensor wide = grad->to(type);
  return wide.stride(2) == 1 ? wide : wide.contiguous();
}

Tensor flat(const Tensor& time_major, ScalarType type) { return widen(time_major, type).flatten_rows(); }

Gradients backward(const MaybeTensor& grad_states_, const MaybeTensor& grad_contexts_, const MaybeTensor& grad_weights_,
                   const MaybeTensor& grad_final_cell, const Tensor& inputs, const Tensor& state,
                   const MaybeTensor& cell_state, const Tensor& keys, const Tensor& values, const Tensor& exponentials,
                   const Tensor& in_range, const Tensor& query_weight, const MaybeTensor& query_bias, const Tensor& v,
                   const Tensor& weight_ih, const Tensor& weight_hh, const MaybeTensor& bias_ih,
                   const MaybeTensor& bias_hh, const MaybeTensor& lengths, const MaybeTensor& mask,
                   const MaybeTensor& state_mask, std::string_view cell, bool reset_after, const Tensor& states_,
                   const Tensor& contexts_, const Tensor& weights_, const Tensor& cells_, const Tensor& activations_,
                   const Tensor& queries_, std::array<bool, 12> needs) {
  const auto [need_inputs, need_state, need_cell_state, need_keys, need_values, need_query_weight, need_query_bias,
              need_v, need_weight_ih, need_weight_hh, need_bias_ih, need_bias_hh] = needs;
  const int64_t target = inputs.size(1), batch = inputs.size(0);
  const DecoderTensors d(inputs.transpose(0, 1).flatten_rows(), state, cell_state, keys, values, exponentials, in_range,
                         query_weight, query_bias, v, weight_ih, weight_hh, bias_ih, bias_hh, lengths, mask, state_mask,
                         cell, reset_after);
  const bool lstm = d.cell == Cell::kLstm;
  const MaybeTensor grad_states = dense_last(grad_states_, d.type), grad_contexts = dense_last(grad_contexts_, d.type),
                    grad_weights = dense_last(grad_weights_, d.type);
  check_shape("states", states_, {target, batch, d.hidden});
  check_shape("contexts", contexts_, {target, batch, d.size});
  check_shape("weights", weights_, {target, batch, d.source});
  check_shape("activations", activations_, {target, batch, activations_of(d.cell) * d.hidden});
  check_shape("queries", queries_, {target, batch, d.units});
  if (lstm) {
    check_shape("cells", cells_, {target, batch, d.hidden});
  }
  const Tensor states = flat(states_, d.type), weights = flat(weights_, d.type), queries = flat(queries_, d.type),
               activations = flat(activations_, d.type);
  const MaybeTensor cells = lstm ? MaybeTensor(flat(cells_, d.type)) : std::nullopt;

  const auto time_major = [&](const Tensor& rows) { return rows.view({target, batch, rows.size(1)}); };
  Tensor previous_states = concatenate(d.state, states).narrow(0, 0, target * batch);
  if (d.state_mask) {
    previous_states = (time_major(previous_states) * *d.state_mask).flatten_rows();
  }
  const Tensor grad_state = Tensor::empty({batch, d.hidden}, d.type);
  MaybeTensor grad_cell;
  if (lstm) {
    grad_cell = grad_final_cell ? grad_final_cell->copy(d.type) : Tensor::zeros({batch, d.hidden}, d.type);
  }
  const Tensor grad_gates = d.rows(d.gates), grad_queries = d.rows(d.units), grad_contexts_total = d.rows(d.size);
  const Tensor grad_products = d.cell == Cell::kGruResetAfter ? d.rows(d.gates) : grad_gates;
  MaybeTensor grad_keys, grad_v;
  if (need_keys || need_v) {
    grad_keys = Tensor::zeros(d.keys.shape(), d.type);
    grad_v = Tensor::empty({batch, d.units}, d.type);
  }
  dispatch_accumulation(d.type, [&]<typename A>() {
    DecoderBackward<A> backward;
    d.fill(backward);
    backward.previous_states = span<const A>(previous_states);
    backward.cell_state = span<const A>(d.cell_state);
    backward.cells = span<const A>(cells);
    backward.activations = span<const A>(activations);
    backward.weights = span<const A>(weights);
    backward.queries = span<const A>(queries);
    backward.grad_states = incoming<A>(grad_states);
    backward.grad_contexts = incoming<A>(grad_contexts);
    backward.grad_weights = incoming<A>(grad_weights);
    backward.grad_state = span<A>(grad_state);
    backward.grad_cell = span<A>(grad_cell);
    backward.grad_gates = span<A>(grad_gates);
    backward.grad_products = span<A>(grad_products);
    backward.grad_queries = span<A>(grad_queries);
    backward.grad_contexts_total = span<A>(grad_contexts_total);
    backward.grad_keys = pointer<A>(grad_keys);
    backward.grad_v = pointer<A>(grad_v);
    attention_decoder_backward(backward);
  });

  return {
      answer(need_inputs, inputs,
             [&] { return time_major(mm(grad_gates, d.input_weight)).transpose(0, 1).contiguous(); }),
      answer(need_state, state, [&] { return grad_state; }),
      answer(need_cell_state, cell_state, inputs, [&] { return *grad_cell; }),
      answer(need_keys, keys, [&] { return *grad_keys; }),
      answer(need_values, values,
             [&] {
               return bmm(time_major(weights).transpose(0, 1).transpose(1, 2),
                          time_major(grad_contexts_total).transpose(0, 1));
             }),
      answer(need_query_weight, query_weight, [&] { return mm(grad_queries.t(), previous_states); }),
      answer(need_query_bias, query_bias, inputs, [&] { return sum_rows(grad_queries); }),
      answer(need_v, v, [&] { return sum_rows(*grad_v); }),
      answer(need_weight_ih, weight_ih,
             [&] {
               const Tensor grad = Tensor::empty(d.weight_ih.shape(), d.type);
               Tensor of_inputs = grad.narrow(1, 0, d.embedding), of_contexts = grad.narrow(1, d.embedding, d.size);
               mm_out(of_inputs, grad_gates.t(), d.inputs);
               mm_out(of_contexts, grad_gates.t(), flat(contexts_, d.type));
               return grad;
             }),
      answer(need_weight_hh, weight_hh,
             [&] {
               return recurrent_weight_gradient(d.cell, d.hidden, grad_gates, grad_products, previous_states,
                                                activations);
             }),
      answer(need_bias_ih, bias_ih, inputs, [&] { return sum_rows(grad_gates); }),
      answer(need_bias_hh, bias_hh, inputs, [&] { return sum_rows(grad_products); }),
  };
}

STABLE_TORCH_LIBRARY_IMPL(seq2seq_fast_cpu, CPU, m) { m.impl("attention_decoder_backward", TORCH_BOX(&backward)); }

}  // namespace
}  // namespace seq2seq_fast::cpu
