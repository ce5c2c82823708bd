#include "lstm_cell_kernel.h"

#include "gates.h"
#include "parallel.h"

namespace seq2seq_fast::cpu {

void lstm_gates(const LstmGates& g) {
  dispatch_gates(g.gates, g.cell_type, [&]<typename G, typename C>() {
    using A = accumulation_t<C>;
    parallel_rows(g.batch, 4 * g.size, [&](int64_t b) {
      lstm_row(g.gates_input.at<const G>(b), g.gates_hidden.at<const G>(b), g.cell.at<const C>(b), g.size,
               g.new_hidden.at<G>(b), g.new_cell.at<C>(b), g.activations.at<A>(b));
    });
  });
}

void lstm_gates_backward(const LstmGatesBackward& g) {
  dispatch_gates(g.hidden, g.cell_type, [&]<typename H, typename C>() {
    using A = accumulation_t<C>;
    parallel_rows(g.batch, 4 * g.size, [&](int64_t b) {
      lstm_row_backward(g.grad_hidden.at<const H>(b), g.grad_new_cell.at<const C>(b), g.cell.at<const C>(b),
                        g.new_cell.at<const C>(b), g.activations.at<const A>(b), g.size, g.grad_gates.at<C>(b),
                        g.grad_cell.at<C>(b));
    });
  });
}

}  // namespace seq2seq_fast::cpu
