#include "attention_decoder_kernel.h"
#include "attention_rows.h"
#include "recurrent_cell.h"

namespace seq2seq_fast::cpu {
namespace {

template <typename A>
class Forward {
 public:
  explicit Forward(const DecoderForward<A>& decoder)
      : d_(decoder),
        cell_(d_.cell, d_.hidden, d_.weight_hh, d_.bias_hh, d_.batch),
        query_weight_(packed_transpose<A>(d_.query_weight, d_.units, d_.hidden)),
        context_weight_(packed_transpose<A>(d_.context_weight, gates_of(d_.cell) * d_.hidden, d_.size)),
        exponentials_(d_.batch * d_.units),
        scores_(d_.batch * d_.source),
        masked_(d_.state_mask ? d_.batch * d_.hidden : 0) {}

  // Sentences [first, first + count) through all positions.
  void operator()(int64_t first, int64_t count) const {
    for (int64_t t = 0; t < d_.target; ++t) {
      const int64_t row = t * d_.batch + first;
      const auto before = [&](RowSpan<const A> initial, RowSpan<A> all) -> RowSpan<const A> {
        return t == 0 ? initial.from(first) : RowSpan<const A>(all.from(row - d_.batch));
      };
      const RowSpan<const A> hidden = masked_rows<A>(before(d_.state, d_.states), d_.state_mask.from(first), count,
                                                     d_.hidden, RowSpan<A>{masked_.data(), d_.hidden}.from(first));
      query_weight_.multiply(count, hidden, {d_.query_bias, 0}, d_.queries.from(row));
      for_each_row(count, [&](int64_t i) { attend(first + i, row + i); });
      const RowSpan<A> gates = d_.gates.from(row);
      context_weight_.multiply(count, d_.contexts.from(row), gates, gates);
      cell_({first, count, hidden, before(d_.cell_state, d_.cells), d_.states.from(row), d_.cells.from(row), gates});
    }
  }

 private:
  void attend(int64_t b, int64_t row) const {
    const int64_t* positions = d_.positions->of(b);
    const int64_t count = d_.positions->count(b);
    A* const exponentials = exponentials_.data() + b * d_.units;
    A* const scores = scores_.data() + b * d_.source;
    const A* const query = d_.queries[row];
    if (query_exponentials(query, d_.units, exponentials) && d_.in_range[b]) {
      const A* keys = d_.exponentials + b * d_.source * d_.units;
      score_source(exponential_form, exponentials, keys, d_.v, d_.units, positions, count, scores);
    } else {
      const A* keys = d_.keys + b * d_.source * d_.units;
      score_source(direct_form, query, keys, d_.v, d_.units, positions, count, scores);
    }
    softmax_row(scores, count);
    weighted_sum(scores, d_.values + b * d_.source * d_.size, positions, count, d_.size, d_.contexts[row]);
    scatter_row(scores, positions, count, d_.source, d_.weights[row]);
  }

  const DecoderForward<A>& d_;
  CellForward<A> cell_;
  PackedMatrix<A> query_weight_, context_weight_;
  Buffer<A> exponentials_, scores_, masked_;
};

}  // namespace

template <typename A>
void attention_decoder_forward(const DecoderForward<A>& decoder) {
  const Forward<A> forward(decoder);
  for_each_block(decoder.batch, kBlockRows, forward);
}

template void attention_decoder_forward(const DecoderForward<float>& decoder);
template void attention_decoder_forward(const DecoderForward<double>& decoder);

}  // namespace seq2seq_fast::cpu
