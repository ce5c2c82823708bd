#include "attention_decoder_step_kernel.h"

#include "attention_tiles.h"
#include "parallel.h"
#include "recurrent_cell.h"

namespace seq2seq_fast::cpu {
namespace {

// sums[i] = (add ? sums[i] : 0) + sum_n weights[i][n] values[positions[n]] for R rows; rows of sums and values are
// dense.
template <int R, typename A>
void weighted_sums(const A* weights, int64_t weight_stride, const A* values, const int64_t* positions, int64_t count,
                   int64_t size, bool add, A* sums) {
  const auto columns = [&]<int C>(int64_t d, auto lanes) SEQ2SEQ_FAST_LAMBDA {
    detail::product_block<R, C, A>(
        count, [&](int m, int64_t n) SEQ2SEQ_FAST_LAMBDA { return weights[m * weight_stride + n]; },
        [&](int64_t n) SEQ2SEQ_FAST_LAMBDA { return values + positions[n] * size + d; },
        [&](int m) SEQ2SEQ_FAST_LAMBDA { return sums + m * size + d; }, add, lanes);
  };
  int64_t d = 0;
  for (; d + 2 * kLanes<A> <= size; d += 2 * kLanes<A>) {
    columns.template operator()<2>(d, Whole{});
  }
  for_each_vector<A>(size - d, [&](int64_t rest, auto lanes) { columns.template operator()<1>(d + rest, lanes); });
}

// Up to kRowTile beams of sentence b, from `first` on; exponentials [kRowTile, A] and scores [kRowTile, Tx] are
// scratch.
template <typename A>
void attend_tile(const DecoderStep<A>& s, int64_t b, int64_t first, int64_t rows, A* exponentials, A* scores) {
  const int64_t* positions = s.positions->of(b);
  const int64_t count = s.positions->count(b), row = b * s.beams + first;
  bool direct[kRowTile];
  for (int64_t i = 0; i < rows; ++i) {
    direct[i] = !query_exponentials(s.queries[row + i], s.units, exponentials + i * s.units) || !s.in_range[b];
  }
  score_tile(exponentials, rows, s.exponentials + b * s.source * s.units, s.v, s.units, positions, count, scores,
             s.source);
  for (int64_t i = 0; i < rows; ++i) {
    A* const row_scores = scores + i * s.source;
    if (direct[i]) {
      score_source(direct_form, s.queries[row + i], s.keys + b * s.source * s.units, s.v, s.units, positions, count,
                   row_scores);
    }
    softmax_row(row_scores, count);
    scatter_row(row_scores, positions, count, s.source, s.weights[row + i]);
  }
  with_rows(rows, [&]<int R>() {
    weighted_sums<R>(scores, s.source, s.values + b * s.source * s.size, positions, count, s.size, false,
                     s.contexts[row]);
    if (s.projected_values) {
      weighted_sums<R>(scores, s.source, s.projected_values[b * s.source], positions, count,
                       gates_of(s.cell) * s.hidden, true, s.gates[row]);
    }
  });
}

template <typename A>
void cell_rows(const DecoderStep<A>& s, int64_t first, int64_t count) {
  for (int64_t row = first; row < first + count; ++row) {
    cell_row(s.cell, s.hidden, s.gates[row], s.products[row], s.previous[row], s.cell_state[row], s.states[row],
             s.cells[row], false);
  }
}

}  // namespace

template <typename A>
void step_attend(const DecoderStep<A>& s) {
  const int64_t tiles = (s.beams + kRowTile - 1) / kRowTile;
  parallel_over(s.batch * tiles, kRowTile * s.source * s.units, [&](int64_t begin, int64_t end) {
    const Buffer<A> exponentials(kRowTile * s.units), scores(kRowTile * s.source);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t b = task / tiles, first = task % tiles * kRowTile;
      const int64_t rows = std::min(kRowTile, s.beams - first);
      attend_tile(s, b, first, rows, exponentials.data(), scores.data());
      if (s.projected_values && s.cell != Cell::kGruResetBefore) {
        cell_rows(s, b * s.beams + first, rows);
      }
    }
  });
}

template <typename A>
void step_cell(const DecoderStep<A>& s) {
  parallel_over(s.batch * s.beams, gates_of(s.cell) * s.hidden,
                [&](int64_t begin, int64_t end) { cell_rows(s, begin, end - begin); });
}

template <typename A>
void step_reset(const DecoderStep<A>& s, RowSpan<A> resets) {
  parallel_rows(s.batch * s.beams, gates_of(s.cell) * s.hidden, [&](int64_t row) {
    gru_reset_row(s.gates[row], s.products[row], s.previous[row], s.hidden, resets[row], static_cast<A*>(nullptr));
  });
}

template <typename A>
void step_update(const DecoderStep<A>& s, RowSpan<const A> resets, RowSpan<const A> candidates) {
  parallel_rows(s.batch * s.beams, gates_of(s.cell) * s.hidden, [&](int64_t row) {
    gru_update_row(s.gates[row] + 2 * s.hidden, candidates[row], resets[row] + s.hidden, s.previous[row], s.hidden,
                   s.states[row], static_cast<A*>(nullptr));
  });
}

#define SEQ2SEQ_FAST_INSTANTIATE(A)                            \
  template void step_attend(const DecoderStep<A>&);            \
  template void step_cell(const DecoderStep<A>&);              \
  template void step_reset(const DecoderStep<A>&, RowSpan<A>); \
  template void step_update(const DecoderStep<A>&, RowSpan<const A>, RowSpan<const A>);
SEQ2SEQ_FAST_INSTANTIATE(float)
SEQ2SEQ_FAST_INSTANTIATE(double)
#undef SEQ2SEQ_FAST_INSTANTIATE

}  // namespace seq2seq_fast::cpu
