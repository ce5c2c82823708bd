// The attention decoder's recurrence over a batch (Bahdanau, Cho, Bengio 2014, arXiv 1409.0473, section A.1.2), in the
// accumulation type A. Position t, with s = state_mask s_{t-1}: query = W_a s + b_a, the context attends with it, the
// gates add W_c context to the input's share, and the cell gives s_t.
//
// Only what the next position needs is here. The products with all inputs before the loop, and those that make the
// weights' gradients after it, belong to the caller.
#pragma once

#include "cell.h"
#include "positions.h"
#include "row_span.h"

namespace seq2seq_fast::cpu {

// Dense tensors of all positions are time-major: position t of sentence b is row t * batch + b.
template <typename A>
struct Decoder {
  Cell cell;
  int64_t batch, target, source, units, size, hidden;  // B, Ty, Tx, A, D, H
  // keys and exponentials [B, Tx, A], values [B, Tx, D], in_range [B]
  const A* keys;
  const A* exponentials;
  const A* values;
  const bool* in_range;
  const Positions* positions;
  const A* v;                                                // [A]
  RowSpan<const A> query_weight, context_weight, weight_hh;  // [A, H], [G H, D], [G H, H]
  RowSpan<const A> state_mask;                               // [B, H] or null
};

template <typename A>
struct DecoderForward : Decoder<A> {
  const A* query_bias;                 // [A] or null
  const A* bias_hh;                    // [G H] or null
  RowSpan<const A> state, cell_state;  // [B, H]
  RowSpan<A> gates;                    // [Ty B, G H]: the inputs' share with its bias; overwritten
  // Results, [Ty B, ...]. The activations are in the rows of gates, wide enough for them.
  RowSpan<A> states, cells, contexts, weights, queries;
};

template <typename A>
void attention_decoder_forward(const DecoderForward<A>& decoder);

template <typename A>
struct DecoderBackward : Decoder<A> {
  RowSpan<const A> previous_states;                // [Ty B, H]: the state that each position started from, masked
  RowSpan<const A> cell_state, cells;              // [B, H], [Ty B, H]
  RowSpan<const A> activations, weights, queries;  // [Ty B, ...]
  // Gradients of the results, null where there is none; rows of successive positions are `step` apart.
  struct Incoming {
    RowSpan<const A> rows;
    int64_t step = 0;

    RowSpan<const A> at(int64_t t) const { return rows.columns(t * step); }
  };
  Incoming grad_states, grad_contexts, grad_weights;
  RowSpan<A> grad_state, grad_cell;                    // [B, H]; grad_cell holds the last cell's gradient at first
  RowSpan<A> grad_gates, grad_products, grad_queries;  // [Ty B, ...]: of the inputs' share, the state's share, queries
  RowSpan<A> grad_contexts_total;                      // [Ty B, D], of the gates too
  A* grad_keys;                                        // [B, Tx, A], zeros at first
  A* grad_v;                                           // [B, A]: each sentence's share; null where neither is needed
};

template <typename A>
void attention_decoder_backward(const DecoderBackward<A>& decoder);

}  // namespace seq2seq_fast::cpu
