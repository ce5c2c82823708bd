// A cell over the sequences of a batch, in the accumulation type A: the encoder's recurrence, and the decoder's where
// it does not attend.
//
// Sequences are sorted, longest first, and packed: position t of the i-th is row offsets[t] + i, for the counts[t]
// sequences that are longer than t. Only the recurrence is here; the products with all inputs before it, and those that
// make the weights' gradients after it, belong to the caller.
#pragma once

#include "cell.h"
#include "row_span.h"

namespace seq2seq_fast::cpu {

template <typename A>
struct Sequences {
  Cell cell;
  int64_t batch, steps, hidden;  // steps: the length of the longest
  const int64_t* counts;         // [steps]
  const int64_t* offsets;        // [steps]
  RowSpan<const A> weight_hh;    // [G H, H]
  RowSpan<const A> state_mask;   // [B, H], sorted, or null
};

template <typename A>
struct SequencesForward : Sequences<A> {
  const A* bias_hh;                    // [G H] or null
  RowSpan<const A> state, cell_state;  // [B, H], sorted
  RowSpan<A> gates;                    // [rows, G H]: the inputs' share with its bias; overwritten by the activations
  RowSpan<A> states, cells;            // [rows, H], results
};

template <typename A>
void recurrent_sequence_forward(const SequencesForward<A>& sequences);

template <typename A>
struct SequencesBackward : Sequences<A> {
  RowSpan<const A> previous_states;           // [rows, H]: the state that each position started from, masked
  RowSpan<const A> cell_state, cells;         // [B, H], [rows, H]
  RowSpan<const A> activations, grad_states;  // [rows, ...]
  RowSpan<A> grad_state, grad_cell;           // [B, H]: the last state's gradient at first, then the initial one's
  RowSpan<A> grad_gates, grad_products;       // [rows, G H]: of the inputs' share, of the state's share
};

template <typename A>
void recurrent_sequence_backward(const SequencesBackward<A>& sequences);

}  // namespace seq2seq_fast::cpu
