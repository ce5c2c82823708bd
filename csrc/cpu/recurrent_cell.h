// One position of a recurrence for a few rows of a batch, forward and backward: the product with the previous state,
// and the gates. The input's share of the gates was computed for all positions at once; gates are stacked as in
// PyTorch.
#pragma once

#include "blocks.h"
#include "cell.h"
#include "gates.h"
#include "packed_matrix.h"

namespace seq2seq_fast::cpu {

// The share of one position in a batch: `first` is the batch index of the first row.
template <typename A>
struct CellRows {
  int64_t first, count;
  RowSpan<const A> hidden, cell;    // the previous state
  RowSpan<A> new_hidden, new_cell;  // the next one
  RowSpan<A> gates;                 // the input's share, overwritten by the activations
};

// A matrix [rows, columns] as the right factor of x matrix^T, or of x matrix.
template <typename A>
PackedMatrix<A> packed_transpose(RowSpan<const A> matrix, int64_t rows, int64_t columns) {
  return {matrix.data, 1, matrix.stride, columns, rows};
}
template <typename A>
PackedMatrix<A> packed(RowSpan<const A> matrix, int64_t rows, int64_t columns) {
  return {matrix.data, matrix.stride, 1, rows, columns};
}

// The rows of weight_hh that multiply the state itself; with reset before the product, the others multiply r h.
inline int64_t direct_rows(Cell cell, int64_t size) {
  return (cell == Cell::kGruResetBefore ? 2 : gates_of(cell)) * size;
}
inline int64_t candidate_rows(Cell cell, int64_t size) { return gates_of(cell) * size - direct_rows(cell, size); }

// The gates of one row where the product with the state is there already, [G size]: all cells but the one whose reset
// comes before a product. `keep` puts what backward needs in place of the input's share.
template <typename A>
inline void cell_row(Cell cell, int64_t size, A* gates, const A* products, const A* hidden, const A* cell_state,
                     A* new_hidden, A* new_cell, bool keep) {
  switch (cell) {
    case Cell::kRnn:
      return for_each_vector<A>(size, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
        const Vec<A> state = tanh(load(gates + u, lanes) + load(products + u, lanes));
        store(new_hidden + u, state, lanes);
        if (keep) {
          store(gates + u, state, lanes);
        }
      });
    case Cell::kLstm:
      return lstm_row(gates, products, cell_state, size, new_hidden, new_cell, keep ? gates : nullptr);
    default:
      gru_row(gates, products, hidden, size, new_hidden, keep ? gates : nullptr);
      if (keep) {
        std::copy_n(products + 2 * size, size, gates + 3 * size);
      }
  }
}

// to += by or to *= by, for `count` rows; nothing where `by` is not there.
template <typename A, typename Combine>
void combine_rows(RowSpan<A> to, RowSpan<const A> by, int64_t count, int64_t size, const Combine& combine) {
  if (by) {
    for_each_row(count, [&](int64_t i) {
      for_each_vector<A>(size, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
        store(to[i] + u, combine(load(to[i] + u, lanes), load(by[i] + u, lanes)), lanes);
      });
    });
  }
}

// Rows times those of a mask, in `result`; the rows themselves where there is no mask.
template <typename A>
RowSpan<const A> masked_rows(RowSpan<const A> rows, RowSpan<const A> mask, int64_t count, int64_t size,
                             RowSpan<A> result) {
  if (!mask) {
    return rows;
  }
  for_each_row(count, [&](int64_t i) {
    for_each_vector<A>(size, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
      store(result[i] + u, load(rows[i] + u, lanes) * load(mask[i] + u, lanes), lanes);
    });
  });
  return result;
}

template <typename A>
class CellForward {
 public:
  // weight_hh [G size, size], bias_hh [G size] or null; for batches of up to `batch` rows.
  CellForward(Cell cell, int64_t size, RowSpan<const A> weight_hh, const A* bias_hh, int64_t batch)
      : cell_(cell),
        size_(size),
        bias_{bias_hh, 0},
        weight_(packed_transpose<A>(weight_hh, direct_rows(cell, size), size)),
        candidate_weight_(
            packed_transpose<A>(weight_hh.from(direct_rows(cell, size)), candidate_rows(cell, size), size)),
        products_(batch * gates_of(cell) * size),
        resets_(cell == Cell::kGruResetBefore ? batch * 2 * size : 0) {}

  void operator()(const CellRows<A>& at) const {
    const RowSpan<A> products = RowSpan<A>{products_.data(), gates_of(cell_) * size_}.from(at.first);
    weight_.multiply(at.count, at.hidden, bias_, products);
    if (cell_ == Cell::kGruResetBefore) {
      return reset_before(at, products);
    }
    for_each_row(at.count, [&](int64_t i) {
      cell_row(cell_, size_, at.gates[i], products[i], at.hidden[i], at.cell[i], at.new_hidden[i], at.new_cell[i],
               true);
    });
  }

 private:
  void reset_before(const CellRows<A>& at, RowSpan<A> products) const {
    const RowSpan<A> resets = RowSpan<A>{resets_.data(), 2 * size_}.from(at.first);
    for_each_row(at.count, [&](int64_t b) {
      gru_reset_row(at.gates[b], products[b], at.hidden[b], size_, resets[b], at.gates[b]);
    });
    const RowSpan<A> candidates = products.columns(2 * size_);
    candidate_weight_.multiply(at.count, resets, bias_.columns(2 * size_), candidates);
    for_each_row(at.count, [&](int64_t b) {
      A* n = at.gates[b] + 2 * size_;
      gru_update_row(n, candidates[b], resets[b] + size_, at.hidden[b], size_, at.new_hidden[b], n);
    });
  }

  Cell cell_;
  int64_t size_;
  RowSpan<const A> bias_;
  PackedMatrix<A> weight_, candidate_weight_;
  Buffer<A> products_, resets_;
};

// Rows of one position on the way back. `grad_hidden` and `grad_cell` hold the gradients of the next state and receive
// those of the previous one, as far as they flow through the cell.
template <typename A>
struct CellGradRows {
  int64_t first, count;
  RowSpan<const A> hidden, cell, new_cell, activations;
  RowSpan<A> grad_hidden, grad_cell;
  RowSpan<A> grad_gates;     // of the input's share
  RowSpan<A> grad_products;  // of the state's share: the same rows, but for reset after the product
};

template <typename A>
class CellBackward {
 public:
  CellBackward(Cell cell, int64_t size, RowSpan<const A> weight_hh, int64_t batch)
      : cell_(cell),
        size_(size),
        weight_(packed<A>(weight_hh, direct_rows(cell, size), size)),
        candidate_weight_(packed<A>(weight_hh.from(direct_rows(cell, size)), candidate_rows(cell, size), size)),
        resets_(cell == Cell::kGruResetBefore ? batch * 3 * size : 0) {}

  void operator()(const CellGradRows<A>& at) const {
    switch (cell_) {
      case Cell::kGruResetAfter:
        for_each_row(at.count, [&](int64_t b) {
          gru_row_backward(at.grad_hidden[b], at.activations[b] + 3 * size_, at.hidden[b], at.activations[b], size_,
                           at.grad_gates[b], at.grad_products[b], at.grad_hidden[b]);
        });
        return weight_.multiply(at.count, at.grad_products, at.grad_hidden, at.grad_hidden);
      case Cell::kGruResetBefore:
        reset_before(at);
        return weight_.multiply(at.count, at.grad_gates, at.grad_hidden, at.grad_hidden);
      case Cell::kLstm:
        for_each_row(at.count, [&](int64_t b) {
          lstm_row_backward(at.grad_hidden[b], at.grad_cell[b], at.cell[b], at.new_cell[b], at.activations[b], size_,
                            at.grad_gates[b], at.grad_cell[b]);
        });
        return weight_.multiply(at.count, at.grad_gates, {}, at.grad_hidden);
      case Cell::kRnn:
        for_each_row(at.count, [&](int64_t b) {
          for_each_vector<A>(size_, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
            const Vec<A> slope = tanh_derivative(load(at.activations[b] + u, lanes));
            store(at.grad_gates[b] + u, load(at.grad_hidden[b] + u, lanes) * slope, lanes);
          });
        });
        return weight_.multiply(at.count, at.grad_gates, {}, at.grad_hidden);
    }
  }

 private:
  void reset_before(const CellGradRows<A>& at) const {
    const RowSpan<A> resets = RowSpan<A>{resets_.data(), 3 * size_}.from(at.first);
    for_each_row(at.count, [&](int64_t b) {
      gru_update_row_backward(at.grad_hidden[b], at.activations[b] + size_, at.hidden[b], at.activations[b] + 2 * size_,
                              size_, at.grad_gates[b] + 2 * size_, resets[b] + size_, at.grad_hidden[b]);
    });
    candidate_weight_.multiply(at.count, at.grad_gates.columns(2 * size_), {}, resets);
    for_each_row(at.count, [&](int64_t b) {
      A* through_reset = resets[b] + 2 * size_;
      gru_reset_row_backward(resets[b], at.hidden[b], at.activations[b], size_, at.grad_gates[b], through_reset);
      for_each_vector<A>(size_, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
        store(at.grad_hidden[b] + u, load(at.grad_hidden[b] + u, lanes) + load(through_reset + u, lanes), lanes);
      });
    });
  }

  Cell cell_;
  int64_t size_;
  PackedMatrix<A> weight_, candidate_weight_;
  Buffer<A> resets_;
};

}  // namespace seq2seq_fast::cpu
