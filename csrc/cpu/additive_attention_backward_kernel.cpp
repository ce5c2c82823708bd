#include "additive_attention_kernel.h"
#include "score_gradients.h"

namespace seq2seq_fast::cpu {

namespace {

template <typename A>
class AttendBackward {
 public:
  AttendBackward(const AttendInputs& inputs, const AttendGradients& grads)
      : inputs_(inputs), in_(inputs.scores), grads_(grads), sources_{inputs.scores} {}

  void run() const {
    if (grads_.grad_v == nullptr) {
      return run(nullptr);
    }
    const ScoreGradients<A> gradients(sources_, inputs_.positions, static_cast<A*>(grads_.grad_query),
                                      static_cast<A*>(grads_.grad_keys), static_cast<A*>(grads_.grad_v));
    run(&gradients);
    gradients.finish();
  }

 private:
  static constexpr int64_t kColumns = 256;  // of the values' gradient, a task

  void run(const ScoreGradients<A>* gradients) const {
    A *const keys = static_cast<A*>(grads_.grad_keys), *const values = static_cast<A*>(grads_.grad_values);
    const int64_t rows = in_.batch * in_.source;
    const int64_t written = rows * ((keys == nullptr ? 0 : in_.units) + (values == nullptr ? 0 : inputs_.size));
    if (in_.queries != 1) {
      each_source(in_.batch, in_.queries * in_.source * (in_.units + inputs_.size), [&](const auto& next) {
        QueryTile<A> tile(in_);
        const Buffer<A> weights(tile.capacity * in_.source);
        for (int64_t b = next(); b >= 0; b = next()) {
          many_queries(b, gradients, tile, weights.data());
        }
      });
    } else if (beyond_cache(written * sizeof(A)) && streamable(keys, in_.units) && streamable(values, inputs_.size)) {
      one_query<true>(gradients);
    } else {
      one_query<false>(gradients);
    }
  }

  // A source at a time: what bounds this is the memory that it reads and writes, once.
  template <bool kAround>
  void one_query(const ScoreGradients<A>* gradients) const {
    parallel_tasks(in_.batch, in_.source * (in_.units + inputs_.size), [&](const auto& next) {
      const auto exponentials = Buffer<A>(in_.units), weights = Buffer<A>(in_.source),
                 grad_scores = Buffer<A>(in_.source);
      for (int64_t b = next(); b >= 0; b = next()) {
        bool direct;
        score_rows_backward(b, 0, 1, exponentials.data(), &direct, weights.data(), grad_scores.data());
        if (gradients != nullptr) {
          gradients->template one_query<kAround>(b, exponentials.data(), direct, grad_scores.data());
        }
        if (grads_.grad_values != nullptr) {
          clear_values_gaps(b);
          const int64_t size = inputs_.size;
          for (int64_t n = 0; n < inputs_.positions.count(b); ++n) {
            A* const row = grad_values(b) + inputs_.positions.of(b)[n] * size;
            const Vec<A> w(weights.data()[n]);
            for_each_vector<A>(size, [&](int64_t d, auto lanes) SEQ2SEQ_FAST_LAMBDA {
              store_streamed<kAround>(row + d, w * load(grad_context(b, 0) + d, lanes), lanes);
            });
          }
        }
      }
      stream_fence();
    });
  }

  // Tiles of kQueryTile queries of a source: first the gradients of their scores, then, cut by units and columns so
  // that every element has one writer, what comes of them.
  void many_queries(int64_t b, const ScoreGradients<A>* gradients, QueryTile<A>& tile, A* weights) const {
    const int64_t columns = grads_.grad_values == nullptr ? 0 : (inputs_.size + kColumns - 1) / kColumns;
    const int64_t pair_tasks = gradients == nullptr ? 0 : gradients->tasks();
    for (int64_t first = 0; first < in_.queries; first += kQueryTile) {
      tile.begin(first, in_.queries);
      const int64_t groups = (tile.rows + kRowTile - 1) / kRowTile;
      parallel_tasks(groups, kRowTile * in_.source * (in_.units + inputs_.size), [&](const auto& next) {
        for (int64_t task = next(); task >= 0; task = next()) {
          const int64_t row = task * kRowTile;
          score_rows_backward(b, first + row, std::min(kRowTile, tile.rows - row),
                              tile.exponentials.data() + row * in_.units, tile.direct.data() + row,
                              weights + row * in_.source, tile.grad_scores.data() + row * in_.source);
        }
      });
      parallel_tasks(pair_tasks + columns, tile.rows * in_.source * kUnitTile<A>, [&](const auto& next) {
        A pair_scratch[kPairScratch<A>], panel[kQueryTile * kPanel<A>];
        for (int64_t task = next(); task >= 0; task = next()) {
          if (task < pair_tasks) {
            gradients->units(task, b, tile, tile.grad_scores.data(), pair_scratch);
          } else {
            const int64_t begin = (task - pair_tasks) * kColumns;
            values_gradient(weights, in_.source, grad_context(b, first), tile.rows, inputs_.positions.of(b),
                            inputs_.positions.count(b), inputs_.size, begin, std::min(begin + kColumns, inputs_.size),
                            first > 0, grad_values(b), panel);
          }
        }
      });
      if (gradients != nullptr) {
        gradients->direct(b, tile, tile.grad_scores.data());
      }
    }
    clear_gaps(b, gradients);
  }

  // Weights of `rows` queries and the gradients of their scores, compact rows in_.source apart.
  void score_rows_backward(int64_t b, int64_t first, int64_t rows, A* exponentials, bool* direct, A* weights,
                           A* grad_scores) const {
    const int64_t count = inputs_.positions.count(b), row = b * in_.queries + first;
    const int64_t* visited = inputs_.positions.of(b);
    const A* saved = static_cast<const A*>(grads_.weights);
    if (saved == nullptr) {
      sources_.scores(b, first, rows, visited, count, exponentials, direct, weights, in_.source);
    } else {
      sources_.exponentials_of_queries(b, first, rows, exponentials, direct);
    }
    dispatch_accumulated<A>(in_.type, [&]<typename T>() {
      const T* const values = static_cast<const T*>(inputs_.values) + b * in_.source * inputs_.size;
      dot_tile(grad_context(b, first), rows, values, visited, count, inputs_.size, grad_scores, in_.source);
    });
    for (int64_t i = 0; i < rows; ++i) {
      A* const compact = weights + i * in_.source;
      if (saved == nullptr) {
        softmax_row(compact, count);
      } else {
        gather_row(saved + (row + i) * in_.source, visited, count, compact);
      }
      A* const grad = grad_scores + i * in_.source;
      if (grads_.grad_weights != nullptr) {
        const A* more = static_cast<const A*>(grads_.grad_weights) + (row + i) * in_.source;
        for (int64_t n = 0; n < count; ++n) {
          grad[n] += more[visited[n]];
        }
      }
      softmax_row_backward(compact, grad, count);
    }
  }

  void clear_gaps(int64_t b, const ScoreGradients<A>* gradients) const {
    if (gradients != nullptr) {
      gradients->clear_gaps(b);
    }
    if (grads_.grad_values != nullptr) {
      clear_values_gaps(b);
    }
  }

  void clear_values_gaps(int64_t b) const {
    for_each_gap(inputs_.positions.of(b), inputs_.positions.count(b), in_.source, [&](int64_t from, int64_t to) {
      std::fill(grad_values(b) + from * inputs_.size, grad_values(b) + to * inputs_.size, A(0));
    });
  }

  const A* grad_context(int64_t b, int64_t i) const {
    return static_cast<const A*>(grads_.grad_context) + (b * in_.queries + i) * inputs_.size;
  }
  A* grad_values(int64_t b) const { return static_cast<A*>(grads_.grad_values) + b * in_.source * inputs_.size; }

  const AttendInputs& inputs_;
  const ScoreInputs& in_;
  const AttendGradients& grads_;
  const Sources<A> sources_;
};

}  // namespace

void attend_backward(const AttendInputs& inputs, const AttendGradients& gradients) {
  dispatch_accumulation(inputs.scores.type, [&]<typename A>() { AttendBackward<A>(inputs, gradients).run(); });
}

}  // namespace seq2seq_fast::cpu
