// attention_decoder_forward: the products with all inputs, then the recurrence.
#include "attention_decoder.h"

#include "attention_tensors.h"

namespace seq2seq_fast::cpu {
namespace {

Positions positions_of(const MaybeTensor& lengths, const MaybeTensor& mask, int64_t batch, int64_t source) {
  const MaybeTensor dense_lengths = widen(lengths, ScalarType::Long), dense_mask = widen(mask, ScalarType::Bool);
  return {batch, source, pointer<const int64_t>(dense_lengths), pointer<const bool>(dense_mask)};
}

}  // namespace

DecoderTensors::DecoderTensors(const Tensor& inputs_, const Tensor& state_, const MaybeTensor& cell_state_,
                               const Tensor& keys_, const Tensor& values_, const Tensor& exponentials_,
                               const Tensor& in_range_, const Tensor& query_weight_, const MaybeTensor& query_bias_,
                               const Tensor& v_, const Tensor& weight_ih_, const Tensor& weight_hh_,
                               const MaybeTensor& bias_ih_, const MaybeTensor& bias_hh_, const MaybeTensor& lengths,
                               const MaybeTensor& mask, const MaybeTensor& state_mask_, std::string_view cell_name,
                               bool reset_after)
    : type(accumulation_type(inputs_.scalar_type())),
      cell(cell_named(cell_name, reset_after)),
      batch(keys_.size(0)),
      source(keys_.size(1)),
      embedding(inputs_.size(1)),
      units(keys_.size(2)),
      size(values_.size(2)),
      hidden(state_.size(1)),
      gates(gates_of(cell) * hidden),
      inputs(widen(inputs_, type)),
      state(widen(state_, type)),
      cell_state(widen(cell_state_, type)),
      keys(widen(keys_, type)),
      values(widen(values_, type)),
      exponentials(widen(exponentials_, type)),
      query_weight(widen(query_weight_, type)),
      query_bias(widen(query_bias_, type)),
      v(widen(v_, type)),
      in_range(served_by_exponentials(in_range_, v)),
      weight_ih(widen(weight_ih_, type)),
      weight_hh(widen(weight_hh_, type)),
      bias_ih(widen(bias_ih_, type)),
      bias_hh(widen(bias_hh_, type)),
      state_mask(widen(state_mask_, type)),
      input_weight(weight_ih.narrow(1, 0, embedding)),
      context_weight(weight_ih.narrow(1, embedding, size)),
      positions(positions_of(lengths, mask, batch, source)) {
  const int64_t state_rows = state.size(0);
  SEQ2SEQ_FAST_CHECK(state_rows == batch || state_rows == inputs.size(0), "state has ", state_rows, " rows for ", batch,
                     " sentences");
  check_shape("values", values, {batch, source, size});
  check_shape("exponentials", exponentials, {batch, source, units});
  check_shape("in_range", in_range, {batch});
  check_shape("query_weight", query_weight, {units, hidden});
  check_shape("v", v, {units});
  check_shape("weight_ih", weight_ih, {gates, embedding + size});
  check_shape("weight_hh", weight_hh, {gates, hidden});
  SEQ2SEQ_FAST_CHECK(cell_state.has_value() == (cell == Cell::kLstm), "cell_state belongs to an lstm, and to it alone");
  const auto check = [](const char* name, const MaybeTensor& tensor, const Shape& shape) {
    if (tensor) {
      check_shape(name, *tensor, shape);
    }
  };
  check("cell_state", cell_state, {state_rows, hidden});
  check("state_mask", state_mask, {state_rows, hidden});
  check("query_bias", query_bias, {units});
  check("bias_ih", bias_ih, {gates});
  check("bias_hh", bias_hh, {gates});
  check("lengths", lengths, {batch});
  check("mask", mask, {batch, source});
}

namespace {

using Outputs = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

Outputs forward(const Tensor& inputs, const Tensor& state, const MaybeTensor& cell_state, const Tensor& keys,
                const Tensor& values, const Tensor& exponentials, const Tensor& in_range, const Tensor& query_weight,
                const MaybeTensor& query_bias, const Tensor& v, const Tensor& weight_ih, const Tensor& weight_hh,
                const MaybeTensor& bias_ih, const MaybeTensor& bias_hh, const MaybeTensor& lengths,
                const MaybeTensor& mask, const MaybeTensor& state_mask, std::string_view cell, bool reset_after) {
  const int64_t target = inputs.size(1), batch = inputs.size(0);
  const DecoderTensors d(inputs.transpose(0, 1).flatten_rows(), state, cell_state, keys, values, exponentials, in_range,
                         query_weight, query_bias, v, weight_ih, weight_hh, bias_ih, bias_hh, lengths, mask, state_mask,
                         cell, reset_after);
  const bool lstm = d.cell == Cell::kLstm;
  const Tensor states = d.rows(d.hidden), contexts = d.rows(d.size), weights = d.rows(d.source),
               queries = d.rows(d.units), cells = lstm ? d.rows(d.hidden) : not_needed(d.type),
               activations = d.rows(activations_of(d.cell) * d.hidden);
  Tensor gates = activations.narrow(1, 0, d.gates);
  multiply(d.inputs, d.input_weight, d.bias_ih, gates);
  dispatch_accumulation(d.type, [&]<typename A>() {
    DecoderForward<A> forward;
    d.fill(forward);
    forward.query_bias = pointer<const A>(d.query_bias);
    forward.bias_hh = pointer<const A>(d.bias_hh);
    forward.state = span<const A>(d.state);
    forward.cell_state = span<const A>(d.cell_state);
    forward.gates = span<A>(gates);
    forward.states = span<A>(states);
    forward.cells = span<A>(lstm ? MaybeTensor(cells) : std::nullopt);
    forward.contexts = span<A>(contexts);
    forward.weights = span<A>(weights);
    forward.queries = span<A>(queries);
    attention_decoder_forward(forward);
  });
  Tensor final_cell = not_needed(state.scalar_type());
  if (lstm) {
    final_cell =
        (target == 0 ? *d.cell_state : cells.narrow(0, (target - 1) * batch, batch)).copy(cell_state->scalar_type());
  }
  const auto time_major = [&](const Tensor& rows) { return rows.view({target, batch, rows.size(1)}); };
  return {time_major(states).to(state.scalar_type()),
          time_major(contexts).to(values.scalar_type()),
          time_major(weights),
          final_cell,
          lstm ? time_major(cells) : cells,
          time_major(activations),
          time_major(queries)};
}

STABLE_TORCH_LIBRARY_IMPL(seq2seq_fast_cpu, CPU, m) { m.impl("attention_decoder_forward", TORCH_BOX(&forward)); }

}  // namespace
}  // namespace seq2seq_fast::cpu
