// One position of the attention decoder for several beams a sentence, without gradients.
#pragma once

#include "attention_decoder_kernel.h"

namespace seq2seq_fast::cpu {

// Beam k of sentence b is row b * beams + k. The caller multiplies the input and the state by their weights.
template <typename A>
struct DecoderStep : Decoder<A> {
  int64_t beams;
  RowSpan<const A> projected_values;      // [B Tx, G H], values W_c^T; null: the caller multiplies the contexts
  RowSpan<const A> previous, cell_state;  // [B K, H], the state masked
  RowSpan<const A> queries, products;     // [B K, A], [B K, G H]
  RowSpan<A> gates;                       // [B K, G H], the inputs' share; overwritten
  RowSpan<A> states, cells, contexts, weights;
};

// Contexts and weights. With projected_values also what the gates take of the contexts, and the cell unless it has a
// product of its own (reset before the product).
template <typename A>
void step_attend(const DecoderStep<A>& step);

// The cell, from whole gates.
template <typename A>
void step_cell(const DecoderStep<A>& step);

// The cell with reset before the product: r h and z [B K, 2 H], and the rest once r h is multiplied [B K, H].
template <typename A>
void step_reset(const DecoderStep<A>& step, RowSpan<A> resets);
template <typename A>
void step_update(const DecoderStep<A>& step, RowSpan<const A> resets, RowSpan<const A> candidates);

}  // namespace seq2seq_fast::cpu
