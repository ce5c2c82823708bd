#include "recurrent_sequence_kernel.h"

#include "blocks.h"
#include "parallel.h"
#include "recurrent_cell.h"

namespace seq2seq_fast::cpu {
namespace {

// Sequences of a block that are longer than t.
template <typename A>
int64_t active(const Sequences<A>& s, int64_t t, int64_t first, int64_t count) {
  return std::clamp<int64_t>(s.counts[t] - first, 0, count);
}

template <typename A>
class Forward {
 public:
  explicit Forward(const SequencesForward<A>& sequences)
      : s_(sequences),
        cell_(s_.cell, s_.hidden, s_.weight_hh, s_.bias_hh, s_.batch),
        masked_(s_.state_mask ? s_.batch * s_.hidden : 0) {}

  // Sequences [first, first + count) from their beginning to their end.
  void operator()(int64_t first, int64_t count) const {
    for (int64_t t = 0; t < s_.steps; ++t) {
      const int64_t rows = active(s_, t, first, count);
      if (rows == 0) {
        return;
      }
      const auto before = [&](RowSpan<const A> initial, RowSpan<A> all) -> RowSpan<const A> {
        return t == 0 ? initial.from(first) : RowSpan<const A>(all.from(s_.offsets[t - 1] + first));
      };
      const int64_t row = s_.offsets[t] + first;
      const RowSpan<const A> hidden = masked_rows<A>(before(s_.state, s_.states), s_.state_mask.from(first), rows,
                                                     s_.hidden, RowSpan<A>{masked_.data(), s_.hidden}.from(first));
      cell_({first, rows, hidden, before(s_.cell_state, s_.cells), s_.states.from(row), s_.cells.from(row),
             s_.gates.from(row)});
    }
  }

 private:
  const SequencesForward<A>& s_;
  CellForward<A> cell_;
  Buffer<A> masked_;
};

template <typename A>
class Backward {
 public:
  explicit Backward(const SequencesBackward<A>& sequences)
      : s_(sequences), cell_(s_.cell, s_.hidden, s_.weight_hh, s_.batch) {}

  // Sequences [first, first + count) from their end to their beginning.
  void operator()(int64_t first, int64_t count) const {
    const RowSpan<A> grad_hidden = s_.grad_state.from(first), grad_cell = s_.grad_cell.from(first);
    for (int64_t t = s_.steps - 1; t >= 0; --t) {
      const int64_t rows = active(s_, t, first, count);
      if (rows == 0) {
        continue;
      }
      const int64_t row = s_.offsets[t] + first;
      combine_rows(grad_hidden, s_.grad_states.from(row), rows, s_.hidden, std::plus<Vec<A>>());
      cell_({first, rows, s_.previous_states.from(row),
             t == 0 ? s_.cell_state.from(first) : s_.cells.from(s_.offsets[t - 1] + first), s_.cells.from(row),
             s_.activations.from(row), grad_hidden, grad_cell, s_.grad_gates.from(row), s_.grad_products.from(row)});
      combine_rows(grad_hidden, s_.state_mask.from(first), rows, s_.hidden, std::multiplies<Vec<A>>());
    }
  }

 private:
  const SequencesBackward<A>& s_;
  CellBackward<A> cell_;
};

// Blocks of sequences for the threads to take as they come, longest first, so that unequal lengths even out. A batch
// too small for that goes through as one, and threads share each position's work.
template <typename Body>
void in_blocks(int64_t batch, const Body& body) {
  const int64_t threads = in_parallel_region ? 1 : thread_count();
  if (batch < kRowsPerThread * threads) {
    return body(0, batch);
  }
  const int64_t blocks = threads * ((batch + threads * kBlockRows - 1) / (threads * kBlockRows));
  parallel_tasks(blocks, kUnitsPerThread, [&](const auto& next) {
    for (int64_t block = next(); block >= 0; block = next()) {
      const int64_t first = batch * block / blocks;
      body(first, batch * (block + 1) / blocks - first);
    }
  });
}

}  // namespace

template <typename A>
void recurrent_sequence_forward(const SequencesForward<A>& sequences) {
  in_blocks(sequences.batch, Forward<A>(sequences));
}

template <typename A>
void recurrent_sequence_backward(const SequencesBackward<A>& sequences) {
  in_blocks(sequences.batch, Backward<A>(sequences));
}

template void recurrent_sequence_forward(const SequencesForward<float>& sequences);
template void recurrent_sequence_forward(const SequencesForward<double>& sequences);
template void recurrent_sequence_backward(const SequencesBackward<float>& sequences);
template void recurrent_sequence_backward(const SequencesBackward<double>& sequences);

}  // namespace seq2seq_fast::cpu
