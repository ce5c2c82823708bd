// The raw operators of a recurrence without attention; schemas in seq2seq_fast/ops/schemas.py.
#include <algorithm>
#include <numeric>
#include <vector>

#include "recurrent_sequence_kernel.h"
#include "recurrent_weight_gradient.h"
#include "typed_tensors.h"

namespace seq2seq_fast::cpu {
namespace {

// How the positions of a batch are packed (recurrent_sequence_kernel.h).
struct Packing {
  Packing(const MaybeTensor& lengths, int64_t batch, int64_t positions, bool reverse) : length(batch, positions) {
    if (lengths) {
      check_shape("lengths", *lengths, {batch});
      const Tensor dense = widen(*lengths, ScalarType::Long);
      std::copy_n(dense.data_ptr<const int64_t>(), batch, length.begin());
    }
    for (int64_t given : length) {
      SEQ2SEQ_FAST_CHECK(given >= 0 && given <= positions, "lengths must be from 0 to ", positions, ", got ", given);
    }
    order.resize(batch);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return length[a] > length[b]; });
    for (int64_t t = 0, active = batch; t < positions; ++t) {
      for (; active > 0 && length[order[active - 1]] <= t; --active) {
      }
      if (active == 0) {
        break;
      }
      counts.push_back(active);
      offsets.push_back(rows);
      rows += active;
    }
    index.reserve(rows);
    for (int64_t t = 0; t < steps(); ++t) {
      for (int64_t i = 0; i < counts[t]; ++i) {
        index.push_back(order[i] * positions + (reverse ? length[order[i]] - 1 - t : t));
      }
    }
  }

  int64_t steps() const { return static_cast<int64_t>(counts.size()); }

  // [B, T, width] -> the packed rows [rows, width], and back, with zeros where no sequence is.
  Tensor pack(const Tensor& padded, ScalarType type) const {
    return take_rows(widen(padded, type).flatten_rows(), index);
  }
  Tensor unpack(const Tensor& packed, int64_t positions) const {
    const int64_t batch = static_cast<int64_t>(order.size()), width = packed.size(1);
    const Tensor padded = Tensor::zeros({batch * positions, width}, packed.scalar_type());
    put_rows(padded, index, packed);
    return padded.view({batch, positions, width});
  }

  // [B, ...] in sorted order, and back.
  Tensor sort(const Tensor& batched, ScalarType type) const { return take_rows(widen(batched, type), order); }
  MaybeTensor sort(const MaybeTensor& batched, ScalarType type) const {
    return batched ? MaybeTensor(sort(*batched, type)) : batched;
  }
  Tensor unsort(const Tensor& sorted) const {
    const Tensor batched = Tensor::empty(sorted.shape(), sorted.scalar_type());
    put_rows(batched, order, sorted);
    return batched;
  }

  // The row of `packed` at each sequence's last position, or of `initial` for an empty one: [B, H], in the batch's
  // order.
  Tensor last(const Tensor& packed, const Tensor& initial) const {
    Tensor result = initial.copy();
    for (int64_t t = 0; t < steps(); ++t) {
      const int64_t first = t + 1 < steps() ? counts[t + 1] : 0;
      if (first < counts[t]) {
        result.narrow(0, first, counts[t] - first).copy_(packed.narrow(0, offsets[t] + first, counts[t] - first));
      }
    }
    return unsort(result);
  }

  std::vector<int64_t> length, counts, offsets, order, index;
  int64_t rows = 0;
};

// The arguments of both directions, sorted, packed and in the accumulation type.
struct Arguments {
  Arguments(const Tensor& inputs_, const Tensor& state_, const MaybeTensor& cell_state_, const Tensor& weight_ih_,
            const Tensor& weight_hh_, const MaybeTensor& bias_ih_, const MaybeTensor& bias_hh_,
            const MaybeTensor& lengths, const MaybeTensor& state_mask_, bool reverse, std::string_view cell_name,
            bool reset_after)
      : type(accumulation_type(inputs_.scalar_type())),
        cell(cell_named(cell_name, reset_after)),
        batch(inputs_.size(0)),
        positions(inputs_.size(1)),
        hidden(state_.size(1)),
        gates(gates_of(cell) * hidden),
        packing(lengths, batch, positions, reverse) {
    check_shape("state", state_, {batch, hidden});
    check_shape("weight_ih", weight_ih_, {gates, inputs_.size(2)});
    check_shape("weight_hh", weight_hh_, {gates, hidden});
    SEQ2SEQ_FAST_CHECK(cell_state_.has_value() == (cell == Cell::kLstm),
                       "cell_state belongs to an lstm, and to it alone");
    const auto check = [](const char* name, const MaybeTensor& tensor, const Shape& shape) {
      if (tensor) {
        check_shape(name, *tensor, shape);
      }
    };
    check("cell_state", cell_state_, {batch, hidden});
    check("state_mask", state_mask_, {batch, hidden});
    check("bias_ih", bias_ih_, {gates});
    check("bias_hh", bias_hh_, {gates});
    inputs = packing.pack(inputs_, type);
    state = packing.sort(state_, type);
    cell_state = packing.sort(cell_state_, type);
    state_mask = packing.sort(state_mask_, type);
    weight_ih = widen(weight_ih_, type);
    weight_hh = widen(weight_hh_, type);
    bias_ih = widen(bias_ih_, type);
    bias_hh = widen(bias_hh_, type);
  }

  template <typename A>
  void fill(Sequences<A>& sequences) const {
    sequences.cell = cell;
    sequences.batch = batch;
    sequences.steps = packing.steps();
    sequences.hidden = hidden;
    sequences.counts = packing.counts.data();
    sequences.offsets = packing.offsets.data();
    sequences.weight_hh = span<const A>(weight_hh);
    sequences.state_mask = span<const A>(state_mask);
  }

  // Room for every position of the batch, as far as shapes alone can tell; the packed rows are the first of it.
  Tensor room(int64_t width) const { return Tensor::empty({batch * positions, width}, type); }
  Tensor rows(const Tensor& room) const { return room.narrow(0, 0, packing.rows); }

  ScalarType type;
  Cell cell;
  int64_t batch, positions, hidden, gates;
  Packing packing;
  Tensor inputs, state, weight_ih, weight_hh;
  MaybeTensor cell_state, state_mask, bias_ih, bias_hh;
};

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> forward(
    const Tensor& inputs, const Tensor& state, const MaybeTensor& cell_state, const Tensor& weight_ih,
    const Tensor& weight_hh, const MaybeTensor& bias_ih, const MaybeTensor& bias_hh, const MaybeTensor& lengths,
    const MaybeTensor& state_mask, bool reverse, std::string_view cell, bool reset_after) {
  const Arguments a(inputs, state, cell_state, weight_ih, weight_hh, bias_ih, bias_hh, lengths, state_mask, reverse,
                    cell, reset_after);
  const bool lstm = a.cell == Cell::kLstm;
  const Tensor states = a.room(a.hidden), activations = a.room(activations_of(a.cell) * a.hidden),
               cells = lstm ? a.room(a.hidden) : not_needed(a.type);
  const Tensor gates = activations.narrow(1, 0, a.gates);
  multiply(a.inputs, a.weight_ih, a.bias_ih, a.rows(gates));
  dispatch_accumulation(a.type, [&]<typename A>() {
    SequencesForward<A> sequences;
    a.fill(sequences);
    sequences.bias_hh = pointer<const A>(a.bias_hh);
    sequences.state = span<const A>(a.state);
    sequences.cell_state = span<const A>(a.cell_state);
    sequences.gates = span<A>(gates);
    sequences.states = span<A>(states);
    sequences.cells = span<A>(lstm ? MaybeTensor(cells) : std::nullopt);
    recurrent_sequence_forward(sequences);
  });
  return {a.packing.unpack(a.rows(states), a.positions).to(state.scalar_type()),
          a.packing.last(states, a.state).to(state.scalar_type()),
          lstm ? a.packing.last(cells, *a.cell_state).to(cell_state->scalar_type()) : not_needed(state.scalar_type()),
          states,
          cells,
          activations};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> backward(
    const MaybeTensor& grad_states_, const MaybeTensor& grad_final_state, const MaybeTensor& grad_final_cell,
    const Tensor& inputs, const Tensor& state, const MaybeTensor& cell_state, const Tensor& weight_ih,
    const Tensor& weight_hh, const MaybeTensor& bias_ih, const MaybeTensor& bias_hh, const MaybeTensor& lengths,
    const MaybeTensor& state_mask, bool reverse, std::string_view cell, bool reset_after, const Tensor& packed,
    const Tensor& cells, const Tensor& activations, std::array<bool, 7> needs) {
  const auto [need_inputs, need_state, need_cell_state, need_weight_ih, need_weight_hh, need_bias_ih, need_bias_hh] =
      needs;
  const Arguments a(inputs, state, cell_state, weight_ih, weight_hh, bias_ih, bias_hh, lengths, state_mask, reverse,
                    cell, reset_after);
  const bool lstm = a.cell == Cell::kLstm;
  const int64_t rows = a.packing.rows, room = a.batch * a.positions;
  check_saved("packed", packed, {room, a.hidden}, a.type);
  check_saved("activations", activations, {room, activations_of(a.cell) * a.hidden}, a.type);
  if (lstm) {
    check_saved("cells", cells, {room, a.hidden}, a.type);
  }
  if (grad_states_) {
    check_shape("grad_states", *grad_states_, {a.batch, a.positions, a.hidden});
  }
  const auto starting_with = [&](const MaybeTensor& grad) {
    return grad ? a.packing.sort(*grad, a.type) : Tensor::zeros({a.batch, a.hidden}, a.type);
  };
  const Tensor grad_state = starting_with(grad_final_state);
  const MaybeTensor grad_cell = lstm ? MaybeTensor(starting_with(grad_final_cell)) : std::nullopt;
  const MaybeTensor grad_states = grad_states_ ? MaybeTensor(a.packing.pack(*grad_states_, a.type)) : std::nullopt;
  const Tensor previous_states = Tensor::empty({rows, a.hidden}, a.type);
  for (int64_t t = 0; t < a.packing.steps(); ++t) {
    const int64_t count = a.packing.counts[t];
    const Tensor from = t == 0 ? a.state.narrow(0, 0, count) : packed.narrow(0, a.packing.offsets[t - 1], count);
    previous_states.narrow(0, a.packing.offsets[t], count)
        .copy_(a.state_mask ? from * a.state_mask->narrow(0, 0, count) : from);
  }
  const Tensor grad_gates = Tensor::empty({rows, a.gates}, a.type);
  const Tensor grad_products = a.cell == Cell::kGruResetAfter ? Tensor::empty(grad_gates.shape(), a.type) : grad_gates;
  dispatch_accumulation(a.type, [&]<typename A>() {
    SequencesBackward<A> sequences;
    a.fill(sequences);
    sequences.previous_states = span<const A>(previous_states);
    sequences.cell_state = span<const A>(a.cell_state);
    sequences.cells = span<const A>(lstm ? MaybeTensor(cells) : std::nullopt);
    sequences.activations = span<const A>(activations);
    sequences.grad_states = span<const A>(grad_states);
    sequences.grad_state = span<A>(grad_state);
    sequences.grad_cell = span<A>(grad_cell);
    sequences.grad_gates = span<A>(grad_gates);
    sequences.grad_products = span<A>(grad_products);
    recurrent_sequence_backward(sequences);
  });
  return {
      answer(need_inputs, inputs, [&] { return a.packing.unpack(mm(grad_gates, a.weight_ih), a.positions); }),
      answer(need_state, state, [&] { return a.packing.unsort(grad_state); }),
      answer(need_cell_state, cell_state, inputs, [&] { return a.packing.unsort(*grad_cell); }),
      answer(need_weight_ih, weight_ih, [&] { return mm(grad_gates.t(), a.inputs); }),
      answer(need_weight_hh, weight_hh,
             [&] {
               return recurrent_weight_gradient(a.cell, a.hidden, grad_gates, grad_products, previous_states,
                                                a.rows(activations));
             }),
      answer(need_bias_ih, bias_ih, inputs, [&] { return sum_rows(grad_gates); }),
      answer(need_bias_hh, bias_hh, inputs, [&] { return sum_rows(grad_products); }),
  };
}

STABLE_TORCH_LIBRARY_IMPL(seq2seq_fast_cpu, CPU, m) {
  m.impl("recurrent_sequence_forward", TORCH_BOX(&forward));
  m.impl("recurrent_sequence_backward", TORCH_BOX(&backward));
}

}  // namespace
}  // namespace seq2seq_fast::cpu
