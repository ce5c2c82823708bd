#include "additive_score_kernel.h"

#include "score_gradients.h"

namespace seq2seq_fast::cpu {

void additive_score(const ScoreInputs& inputs, void* scores) {
  constexpr int64_t kBlock = 128;  // positions a task
  dispatch_accumulation(inputs.type, [&]<typename A>() {
    const Sources<A> sources{inputs};
    const Positions positions(inputs.batch, inputs.source, nullptr, nullptr);
    const int64_t tiles = (inputs.queries + kRowTile - 1) / kRowTile, blocks = (inputs.source + kBlock - 1) / kBlock;
    const A constant = sum_row(sources.v(), inputs.units);
    parallel_tasks(inputs.batch * tiles * blocks, kRowTile * std::min(kBlock, inputs.source) * inputs.units,
                   [&](const auto& next) {
                     const auto exponentials = Buffer<A>(kRowTile * inputs.units);
                     A block[kRowTile * kBlock];
                     bool direct[kRowTile];
                     for (int64_t task = next(); task >= 0; task = next()) {
                       const int64_t b = task / (tiles * blocks), first = task / blocks % tiles * kRowTile;
                       const int64_t begin = task % blocks * kBlock, count = std::min(kBlock, inputs.source - begin);
                       const int64_t rows = std::min(kRowTile, inputs.queries - first);
                       sources.scores(b, first, rows, positions.of(b) + begin, count, exponentials.data(), direct,
                                      block, kBlock);
                       for (int64_t i = 0; i < rows; ++i) {
                         const int64_t row = (b * inputs.queries + first + i) * inputs.source + begin;
                         dispatch_accumulated<A>(inputs.type, [&]<typename T>() {
                           for_each_vector<A>(count, [&](int64_t n, auto lanes) SEQ2SEQ_FAST_LAMBDA {
                             store(static_cast<T*>(scores) + row + n,
                                   load(block + i * kBlock + n, lanes) + Vec<A>(constant), lanes);
                           });
                         });
                       }
                     }
                   });
  });
}

void additive_score_backward(const ScoreInputs& inputs, const void* grad_scores_, void* grad_query, void* grad_keys,
                             void* grad_v) {
  dispatch_accumulation(inputs.type, [&]<typename A>() {
    const Sources<A> sources{inputs};
    const Positions positions(inputs.batch, inputs.source, nullptr, nullptr);
    const A* const grad_scores = static_cast<const A*>(grad_scores_);
    const ScoreGradients<A> gradients(sources, positions, static_cast<A*>(grad_query), static_cast<A*>(grad_keys),
                                      static_cast<A*>(grad_v));
    const int64_t each = inputs.source * inputs.units;
    if (inputs.queries == 1) {
      const auto one_query = [&]<bool kAround>() {
        parallel_tasks(inputs.batch, each, [&](const auto& next) {
          const Buffer<A> exponentials(inputs.units);
          for (int64_t b = next(); b >= 0; b = next()) {
            bool direct;
            sources.exponentials_of_queries(b, 0, 1, exponentials.data(), &direct);
            gradients.template one_query<kAround>(b, exponentials.data(), direct, grad_scores + b * inputs.source);
          }
          stream_fence();
        });
      };
      if (streamable(static_cast<A*>(grad_keys), inputs.units) && beyond_cache(inputs.batch * each * sizeof(A))) {
        one_query.template operator()<true>();
      } else {
        one_query.template operator()<false>();
      }
    } else {
      each_source(inputs.batch, inputs.queries * each, [&](const auto& next) {
        QueryTile<A> tile(inputs);
        for (int64_t b = next(); b >= 0; b = next()) {
          for (int64_t first = 0; first < inputs.queries; first += kQueryTile) {
            tile.begin(first, inputs.queries);
            sources.exponentials_of_queries(b, first, tile.rows, tile.exponentials.data(), tile.direct.data());
            const A* const grads = grad_scores + (b * inputs.queries + first) * inputs.source;
            parallel_tasks(gradients.tasks(), tile.rows * inputs.source * kUnitTile<A>, [&](const auto& next_units) {
              A pair_scratch[kPairScratch<A>];
              for (int64_t task = next_units(); task >= 0; task = next_units()) {
                gradients.units(task, b, tile, grads, pair_scratch);
              }
            });
            gradients.direct(b, tile, grads);
          }
        }
      });
    }
    gradients.finish();
  });
}

}  // namespace seq2seq_fast::cpu
