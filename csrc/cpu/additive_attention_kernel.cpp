#include "additive_attention_kernel.h"

#include "score_gradients.h"

namespace seq2seq_fast::cpu {

namespace {

// One thread's share: tiles of queries, score, softmax and weighted sum in one pass over a source.
template <typename T>
class AttendWorker {
 public:
  using A = accumulation_t<T>;

  AttendWorker(const AttendInputs& inputs, T* context, A* weights, A* logsumexp)
      : inputs_(inputs),
        in_(inputs.scores),
        sources_{inputs.scores},
        context_(context),
        weights_(weights),
        logsumexp_(logsumexp),
        exponentials_(Buffer<A>(kRowTile * in_.units)),
        scores_(Buffer<A>(kRowTile * in_.source)),
        sums_(Buffer<A>(kRowTile * inputs.size)) {}

  void tile(int64_t b, int64_t first) {
    const int64_t rows = std::min(kRowTile, in_.queries - first), row = b * in_.queries + first;
    const int64_t count = inputs_.positions.count(b), size = inputs_.size;
    const int64_t* visited = inputs_.positions.of(b);
    bool direct[kRowTile];
    sources_.scores(b, first, rows, visited, count, exponentials_.data(), direct, scores_.data(), in_.source);
    for (int64_t i = 0; i < rows; ++i) {
      logsumexp_[row + i] = softmax_row(scores_.data() + i * in_.source, count);
      if (weights_ != nullptr) {
        scatter_row(scores_.data() + i * in_.source, visited, count, in_.source, weights_ + (row + i) * in_.source);
      }
    }
    const T* values = static_cast<const T*>(inputs_.values) + b * in_.source * size;
    A* sums = sums_.data();
    if constexpr (std::is_same_v<T, A>) {
      sums = context_ + row * size;
    }
    weighted_sum_tile(scores_.data(), in_.source, rows, values, visited, count, size, sums);
    if constexpr (!std::is_same_v<T, A>) {
      for_each_vector<A>(rows * size, [&](int64_t d, auto lanes) SEQ2SEQ_FAST_LAMBDA {
        store(context_ + row * size + d, load(sums + d, lanes), lanes);
      });
    }
  }

 private:
  const AttendInputs& inputs_;
  const ScoreInputs& in_;
  const Sources<T> sources_;
  T* const context_;
  A* const weights_;
  A* const logsumexp_;
  const Buffer<A> exponentials_, scores_, sums_;
};

}  // namespace

void attend(const AttendInputs& inputs, void* context, void* weights, void* logsumexp) {
  const ScoreInputs& in = inputs.scores;
  dispatch(in.type, [&]<typename T>() {
    using A = accumulation_t<T>;
    const int64_t tiles = (in.queries + kRowTile - 1) / kRowTile;
    parallel_tasks(in.batch * tiles, std::min(kRowTile, in.queries) * in.source * in.units, [&](const auto& next) {
      AttendWorker<T> worker(inputs, static_cast<T*>(context), static_cast<A*>(weights), static_cast<A*>(logsumexp));
      for (int64_t task = next(); task >= 0; task = next()) {
        worker.tile(task / tiles, task % tiles * kRowTile);
      }
    });
  });
}

}  // namespace seq2seq_fast::cpu
