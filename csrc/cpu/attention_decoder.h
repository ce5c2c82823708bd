// The attention decoder's arguments as tensors, in the accumulation type; schemas in seq2seq_fast/ops/schemas.py.
#pragma once

#include "attention_decoder_kernel.h"
#include "typed_tensors.h"

namespace seq2seq_fast::cpu {

struct DecoderTensors {
  // inputs [rows, E], one for each position that is computed; state, cell_state and state_mask [state_rows, H].
  DecoderTensors(const Tensor& inputs, const Tensor& state, const MaybeTensor& cell_state, const Tensor& keys,
                 const Tensor& values, const Tensor& exponentials, const Tensor& in_range, const Tensor& query_weight,
                 const MaybeTensor& query_bias, const Tensor& v, const Tensor& weight_ih, const Tensor& weight_hh,
                 const MaybeTensor& bias_ih, const MaybeTensor& bias_hh, const MaybeTensor& lengths,
                 const MaybeTensor& mask, const MaybeTensor& state_mask, std::string_view cell, bool reset_after);

  template <typename A>
  void fill(Decoder<A>& decoder) const {
    decoder.cell = cell;
    decoder.batch = batch;
    decoder.target = batch == 0 ? 0 : inputs.size(0) / batch;
    decoder.source = source;
    decoder.units = units;
    decoder.size = size;
    decoder.hidden = hidden;
    decoder.keys = keys.data_ptr<const A>();
    decoder.exponentials = exponentials.data_ptr<const A>();
    decoder.values = values.data_ptr<const A>();
    decoder.in_range = in_range.data_ptr<const bool>();
    decoder.positions = &positions;
    decoder.v = v.data_ptr<const A>();
    decoder.query_weight = span<const A>(query_weight);
    decoder.context_weight = span<const A>(context_weight);
    decoder.weight_hh = span<const A>(weight_hh);
    decoder.state_mask = span<const A>(state_mask);
  }

  // An uninitialised matrix with a row for each row of inputs.
  Tensor rows(int64_t width) const { return Tensor::empty({inputs.size(0), width}, type); }

  ScalarType type;
  Cell cell;
  int64_t batch, source, embedding, units, size, hidden, gates;
  Tensor inputs, state;
  MaybeTensor cell_state;
  Tensor keys, values, exponentials, query_weight;
  MaybeTensor query_bias;
  Tensor v, in_range, weight_ih, weight_hh;
  MaybeTensor bias_ih, bias_hh, state_mask;
  Tensor input_weight, context_weight;  // the columns of weight_ih
  Positions positions;
};

}  // namespace seq2seq_fast::cpu
