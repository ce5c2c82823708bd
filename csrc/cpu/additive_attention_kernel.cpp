#include "additive_attention_kernel.h"

#include "score_gradients.h"

namespace seq2seq_fast::cpu {

namespace {

// One thread's share: tiles of queries, score, softmax and weighted sum in one pass over a source.
template <typename A>
class AttendWorker {
 public:
  // Takes tiles of up to `queries` queries at once.
  AttendWorker(const AttendInputs& inputs, int64_t queries, void* context, A* weights, A* logsumexp)
      : inputs_(inputs),
        in_(inputs.scores),
        sources_{inputs.scores},
        context_(context),
        weights_(weights),
        logsumexp_(logsumexp),
        exponentials_(std::min(kRowTile, queries) * in_.units),
        scores_(queries * in_.source),
        sums_(in_.type == kScalarType<A> ? 0 : queries * inputs.size),
        panel_(queries == 1 ? 0 : kPanel<A> * in_.source) {}

  void tile(int64_t b, int64_t first, int64_t rows) {
    const int64_t row = b * in_.queries + first;
    const int64_t count = inputs_.positions.count(b), size = inputs_.size;
    const int64_t* visited = inputs_.positions.of(b);
    for (int64_t i = 0; i < rows; i += kRowTile) {
      bool direct[kRowTile];
      sources_.scores(b, first + i, std::min(kRowTile, rows - i), visited, count, exponentials_.data(), direct,
                      scores_.data() + i * in_.source, in_.source);
    }
    for (int64_t i = 0; i < rows; ++i) {
      logsumexp_[row + i] = softmax_row(scores_.data() + i * in_.source, count);
      if (weights_ != nullptr) {
        scatter_row(scores_.data() + i * in_.source, visited, count, in_.source, weights_ + (row + i) * in_.source);
      }
    }
    dispatch_accumulated<A>(in_.type, [&]<typename T>() {
      const T* const values = static_cast<const T*>(inputs_.values) + b * in_.source * size;
      T* const context = static_cast<T*>(context_) + row * size;
      A* sums = sums_.data();
      if constexpr (std::is_same_v<T, A>) {
        sums = context;
      }
      // By the number of queries, not of rows: how queries are divided into tiles must not show in the bits.
      if (in_.queries == 1) {
        weighted_sum(scores_.data(), values, visited, count, size, sums);
      } else {
        weighted_sum_tile(scores_.data(), in_.source, rows, values, visited, count, size, sums, panel_.data());
      }
      if constexpr (!std::is_same_v<T, A>) {
        for_each_vector<A>(rows * size, [&](int64_t d, auto lanes)
                                            SEQ2SEQ_FAST_LAMBDA { store(context + d, load(sums + d, lanes), lanes); });
      }
    });
  }

 private:
  const AttendInputs& inputs_;
  const ScoreInputs& in_;
  const Sources<A> sources_;
  void* const context_;
  A* const weights_;
  A* const logsumexp_;
  const Buffer<A> exponentials_, scores_, sums_, panel_;
};

// As many queries as share the packing of values, fewer where the threads would not all have several tasks. A multiple
// of kRowTile, so that it does not change which queries are computed together.
int64_t queries_a_task(int64_t batch, int64_t queries) {
  const int64_t share = batch * queries / (4 * thread_count());
  return std::min(queries, std::clamp<int64_t>(share / kRowTile * kRowTile, kRowTile, 32));
}

}  // namespace

void attend(const AttendInputs& inputs, void* context, void* weights, void* logsumexp) {
  const ScoreInputs& in = inputs.scores;
  dispatch_accumulation(in.type, [&]<typename A>() {
    const int64_t tile = queries_a_task(in.batch, in.queries),
                  tiles = (in.queries + tile - 1) / std::max<int64_t>(1, tile);
    parallel_tasks(in.batch * tiles, tile * in.source * in.units, [&](const auto& next) {
      AttendWorker<A> worker(inputs, tile, context, static_cast<A*>(weights), static_cast<A*>(logsumexp));
      for (int64_t task = next(); task >= 0; task = next()) {
        const int64_t first = task % tiles * tile;
        worker.tile(task / tiles, first, std::min(tile, in.queries - first));
      }
    });
  });
}

}  // namespace seq2seq_fast::cpu
