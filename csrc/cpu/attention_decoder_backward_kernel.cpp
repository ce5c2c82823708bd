#include "attention_decoder_kernel.h"
#include "attention_pairs.h"
#include "recurrent_cell.h"

namespace seq2seq_fast::cpu {
namespace {

template <typename A>
class Backward {
 public:
  explicit Backward(const DecoderBackward<A>& decoder)
      : d_(decoder),
        cell_(d_.cell, d_.hidden, d_.weight_hh, d_.batch),
        query_weight_(packed<A>(d_.query_weight, d_.units, d_.hidden)),
        context_weight_(packed<A>(d_.context_weight, gates_of(d_.cell) * d_.hidden, d_.size)),
        weights_(d_.batch * d_.source),
        grad_scores_(d_.target * d_.batch * d_.source),
        exponentials_(d_.target * d_.batch * d_.units),
        direct_(d_.target * d_.batch) {}

  // Sentences [first, first + count) back through all positions.
  void operator()(int64_t first, int64_t count) const {
    const RowSpan<A> grad_hidden = d_.grad_state.from(first), grad_cell = d_.grad_cell.from(first);
    for_each_row(count, [&](int64_t i) { std::fill_n(grad_hidden[i], d_.hidden, A(0)); });
    for (int64_t t = d_.target - 1; t >= 0; --t) {
      const int64_t row = t * d_.batch + first;
      const RowSpan<A> grad_gates = d_.grad_gates.from(row), grad_context = d_.grad_contexts_total.from(row);
      combine_rows<A>(grad_hidden, d_.grad_states.at(t).from(first), count, d_.hidden, std::plus<Vec<A>>());
      cell_({first, count, d_.previous_states.from(row),
             t == 0 ? d_.cell_state.from(first) : d_.cells.from(row - d_.batch), d_.cells.from(row),
             d_.activations.from(row), grad_hidden, grad_cell, grad_gates, d_.grad_products.from(row)});
      context_weight_.multiply(count, grad_gates, d_.grad_contexts.at(t).from(first), grad_context);
      for_each_row(count, [&](int64_t i) { attend(first + i, t); });
      query_weight_.multiply(count, d_.grad_queries.from(row), grad_hidden, grad_hidden);
      combine_rows<A>(grad_hidden, d_.state_mask.from(first), count, d_.hidden, std::multiplies<Vec<A>>());
    }
  }

  // The gradients of the keys of sentence b, and its share of v's, from all its positions.
  void keys(int64_t b, A* scratch) const {
    const int64_t* positions = d_.positions->of(b);
    const int64_t count = d_.positions->count(b), row_step = d_.batch;
    const A* const grad_scores = grad_scores_.data() + b * d_.source;
    A total = 0;
    for (int64_t t = 0; t < d_.target; ++t) {
      total += sum_row(grad_scores + t * row_step * d_.source, count);
    }
    A* const grad_keys = d_.grad_keys + b * d_.source * d_.units;
    A* const grad_v = d_.grad_v + b * d_.units;
    if (d_.in_range[b]) {
      const PairGradients<A> pairs{.queries = exponentials_.data() + b * d_.units,
                                   .query_stride = row_step * d_.units,
                                   .query_count = d_.target,
                                   .keys = d_.exponentials + b * d_.source * d_.units,
                                   .v = d_.v,
                                   .units = d_.units,
                                   .grad_scores = grad_scores,
                                   .score_stride = row_step * d_.source,
                                   .grad_total = total,
                                   .positions = positions,
                                   .count = count,
                                   .grad_queries = nullptr,
                                   .grad_query_stride = 0,
                                   .accumulate = false,
                                   .grad_keys = grad_keys,
                                   .grad_v = grad_v};
      pair_gradients(pairs, 0, d_.units, scratch);
    } else {
      std::fill_n(grad_v, d_.units, -total);  // as if tanh were -1; gradients_direct takes it from there
    }
    for (int64_t t = 0; t < d_.target; ++t) {
      const int64_t row = t * row_step + b;
      if (direct_[row]) {
        gradients_direct(d_.queries[row], d_.keys + b * d_.source * d_.units, d_.v,
                         grad_scores_.data() + row * d_.source, d_.units, positions, count, static_cast<A*>(nullptr),
                         grad_keys, grad_v);
      }
    }
  }

 private:
  void attend(int64_t b, int64_t t) const {
    const int64_t* positions = d_.positions->of(b);
    const int64_t count = d_.positions->count(b), row = t * d_.batch + b;
    A* const weights = weights_.data() + b * d_.source;
    A* const grad_scores = grad_scores_.data() + row * d_.source;
    gather_row(d_.weights[row], positions, count, weights);
    const A* values = d_.values + b * d_.source * d_.size;
    dot_source(d_.grad_contexts_total[row], values, positions, count, d_.size, grad_scores);
    if (const RowSpan<const A> grad_weights = d_.grad_weights.at(t)) {
      for (int64_t n = 0; n < count; ++n) {
        grad_scores[n] += grad_weights[b][positions[n]];
      }
    }
    softmax_row_backward(weights, grad_scores, count);

    A* const exponentials = exponentials_.data() + row * d_.units;
    A* const grad_query = d_.grad_queries[row];
    std::fill_n(grad_query, d_.units, A(0));
    direct_[row] = !query_exponentials(d_.queries[row], d_.units, exponentials) || !d_.in_range[b];
    if (direct_[row]) {
      gradients_direct(d_.queries[row], d_.keys + b * d_.source * d_.units, d_.v, grad_scores, d_.units, positions,
                       count, grad_query, static_cast<A*>(nullptr), static_cast<A*>(nullptr));
    } else {
      query_gradient(exponentials, d_.exponentials + b * d_.source * d_.units, d_.v, grad_scores, d_.units, positions,
                     count, grad_query);
    }
  }

  const DecoderBackward<A>& d_;
  CellBackward<A> cell_;
  PackedMatrix<A> query_weight_, context_weight_;
  Buffer<A> weights_, grad_scores_, exponentials_;
  Buffer<bool> direct_;
};

}  // namespace

template <typename A>
void attention_decoder_backward(const DecoderBackward<A>& decoder) {
  const Backward<A> backward(decoder);
  for_each_block(decoder.batch, kBlockRows, backward);
  if (decoder.grad_v != nullptr) {
    parallel_for(0, decoder.batch, 1, [&](int64_t begin, int64_t end) {
      const Buffer<A> scratch(kPairScratch<A>);
      for (int64_t b = begin; b < end; ++b) {
        backward.keys(b, scratch.data());
      }
    });
  }
}

template void attention_decoder_backward(const DecoderBackward<float>& decoder);
template void attention_decoder_backward(const DecoderBackward<double>& decoder);

}  // namespace seq2seq_fast::cpu
