// attention_decoder_step: one position of K beams a sentence, without gradients.
#include "attention_decoder.h"
#include "attention_decoder_step_kernel.h"

namespace seq2seq_fast::cpu {
namespace {

MaybeTensor rows_of(const MaybeTensor& tensor) { return tensor ? MaybeTensor(tensor->flatten_rows()) : tensor; }

std::tuple<Tensor, Tensor, Tensor, Tensor> step(
    const Tensor& input, const Tensor& state, const MaybeTensor& cell_state, const Tensor& keys, const Tensor& values,
    const Tensor& exponentials, const Tensor& in_range, const MaybeTensor& projected_values_,
    const Tensor& query_weight, const MaybeTensor& query_bias, const Tensor& v, const Tensor& weight_ih,
    const Tensor& weight_hh, const MaybeTensor& bias_ih, const MaybeTensor& bias_hh, const MaybeTensor& lengths,
    const MaybeTensor& mask, const MaybeTensor& state_mask, std::string_view cell, bool reset_after) {
  const DecoderTensors d(input.flatten_rows(), state.flatten_rows(), rows_of(cell_state), keys, values, exponentials,
                         in_range, query_weight, query_bias, v, weight_ih, weight_hh, bias_ih, bias_hh, lengths, mask,
                         rows_of(state_mask), cell, reset_after);
  const int64_t batch = d.batch, beams = input.size(1), size = d.hidden;
  const bool lstm = d.cell == Cell::kLstm, reset_before = d.cell == Cell::kGruResetBefore;
  // A source without positions has a context of zeros, and nothing to project.
  const MaybeTensor projected_values = d.source == 0 ? std::nullopt : widen(projected_values_, d.type);
  if (projected_values) {
    check_shape("projected_values", *projected_values, {batch, d.source, d.gates});
  }
  const Tensor previous = d.state_mask ? d.state * *d.state_mask : d.state;
  const Tensor gates = d.rows(d.gates), products = d.rows(d.gates), queries = d.rows(d.units), states = d.rows(size),
               contexts = d.rows(d.size), weights = d.rows(d.source);
  const MaybeTensor cells = lstm ? MaybeTensor(d.rows(size)) : std::nullopt;
  multiply(d.inputs, d.input_weight, d.bias_ih, gates);
  multiply(previous, d.query_weight, d.query_bias, queries);
  const int64_t direct = reset_before ? 2 * size : d.gates;
  const auto bias = [&](int64_t from, int64_t count) {
    return d.bias_hh ? MaybeTensor(d.bias_hh->narrow(0, from, count)) : std::nullopt;
  };
  multiply(previous, d.weight_hh.narrow(0, 0, direct), bias(0, direct), products.narrow(1, 0, direct));

  dispatch_accumulation(d.type, [&]<typename A>() {
    DecoderStep<A> s;
    d.fill(s);
    s.beams = beams;
    s.projected_values = projected_values ? span<const A>(projected_values->flatten_rows()) : RowSpan<const A>{};
    s.previous = span<const A>(previous);
    s.cell_state = span<const A>(d.cell_state);
    s.queries = span<const A>(queries);
    s.products = span<const A>(products);
    s.gates = span<A>(gates);
    s.states = span<A>(states);
    s.cells = span<A>(cells);
    s.contexts = span<A>(contexts);
    s.weights = span<A>(weights);
    step_attend(s);
    if (!projected_values) {
      addmm_out(gates, gates, contexts, d.context_weight.t());
    }
    if (reset_before) {
      const Tensor resets = d.rows(2 * size), candidates = d.rows(size);
      step_reset(s, span<A>(resets));
      multiply(resets.narrow(1, 0, size), d.weight_hh.narrow(0, direct, size), bias(direct, size), candidates);
      step_update(s, span<const A>(resets), span<const A>(candidates));
    } else if (!projected_values) {
      step_cell(s);
    }
  });
  const auto shaped = [&](const Tensor& rows) { return rows.view({batch, beams, rows.size(1)}); };
  return {shaped(states).to(state.scalar_type()),
          lstm ? shaped(*cells).to(cell_state->scalar_type()) : not_needed(state.scalar_type()),
          shaped(contexts).to(values.scalar_type()), shaped(weights)};
}

STABLE_TORCH_LIBRARY_IMPL(seq2seq_fast_cpu, CPU, m) { m.impl("attention_decoder_step", TORCH_BOX(&step)); }

}  // namespace
}  // namespace seq2seq_fast::cpu
