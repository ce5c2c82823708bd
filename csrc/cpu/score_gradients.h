// From the gradients of scores to those of queries, keys and v, for a batch of sources: one query, or tiles of many.
#pragma once

#include "additive_score_kernel.h"
#include "attention_pairs.h"
#include "attention_tiles.h"
#include "buffer.h"
#include "parallel.h"
#include "positions.h"

namespace seq2seq_fast::cpu {

// The keys of one source in the accumulation type, converted where they have another: for direct rows.
template <typename A>
class AccumulatedKeys {
 public:
  AccumulatedKeys(const ScoreInputs& inputs, int64_t b) : converted_(0) {
    const int64_t size = inputs.source * inputs.units;
    dispatch_accumulated<A>(inputs.type, [&]<typename T>() {
      const T* const keys = static_cast<const T*>(inputs.keys) + b * size;
      if constexpr (std::is_same_v<T, A>) {
        data_ = keys;
      } else {
        converted_ = Buffer<A>(size);
        data_ = converted_.data();
        for_each_vector<A>(size, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
          store(converted_.data() + u, load(keys + u, lanes), lanes);
        });
      }
    });
  }

  const A* data() const { return data_; }

 private:
  Buffer<A> converted_;
  const A* data_;
};

// The typed view of ScoreInputs.
template <typename A>
struct Sources {
  const ScoreInputs& inputs;

  const A* query(int64_t b, int64_t i) const {
    return static_cast<const A*>(inputs.query) + (b * inputs.queries + i) * inputs.units;
  }
  const A* exponentials(int64_t b) const {
    return static_cast<const A*>(inputs.exponentials) + b * inputs.source * inputs.units;
  }
  const A* v() const { return static_cast<const A*>(inputs.v); }

  // e^2q [rows, units] of queries [first, first + rows), and which of them are direct.
  void exponentials_of_queries(int64_t b, int64_t first, int64_t rows, A* exponentials, bool* direct) const {
    for (int64_t i = 0; i < rows; ++i) {
      const bool in_range = query_exponentials(query(b, first + i), inputs.units, exponentials + i * inputs.units);
      direct[i] = !in_range || !inputs.in_range[b];
    }
  }

  // Scores without their constant of queries [first, first + rows) against the visited positions, and what
  // exponentials_of_queries gives.
  void scores(int64_t b, int64_t first, int64_t rows, const int64_t* positions, int64_t count, A* query_exponentials,
              bool* direct, A* scores, int64_t score_stride) const {
    exponentials_of_queries(b, first, rows, query_exponentials, direct);
    if (inputs.in_range[b]) {
      score_tile(query_exponentials, rows, exponentials(b), v(), inputs.units, positions, count, scores, score_stride);
    }
    for (int64_t i = 0; i < rows; ++i) {
      if (direct[i]) {
        score_source(direct_form, query(b, first + i), AccumulatedKeys<A>(inputs, b).data(), v(), inputs.units,
                     positions, count, scores + i * score_stride);
      }
    }
  }
};

// A tile of queries [first, first + rows) of one source on the way back, with its buffers.
template <typename A>
struct QueryTile {
  explicit QueryTile(const ScoreInputs& inputs)
      : capacity(std::min(kQueryTile, inputs.queries)),
        exponentials(capacity * inputs.units),
        grad_scores(capacity * inputs.source),
        direct(capacity) {}

  void begin(int64_t query, int64_t queries) {
    first = query;
    rows = std::min(capacity, queries - query);
  }

  const int64_t capacity;
  int64_t first = 0, rows = 0;
  const Buffer<A> exponentials;  // [rows, units]
  const Buffer<A> grad_scores;   // [rows, source], compact rows; not used where they are elsewhere
  const Buffer<bool> direct;     // [rows]
};

// The gradients of a batch, in the accumulation type; grad_v has a row for each source until `finish` adds them.
template <typename A>
class ScoreGradients {
 public:
  // grad_query may be null; grad_keys and grad_v are written whole.
  ScoreGradients(const Sources<A>& sources, const Positions& positions, A* grad_query, A* grad_keys, A* grad_v)
      : sources_(sources),
        in_(sources.inputs),
        positions_(positions),
        grad_query_(grad_query),
        grad_keys_(grad_keys),
        grad_v_(grad_v),
        each_v_(Buffer<A>(in_.batch * in_.units)) {}

  // The one query of source b; grad_scores is compact. Its exponentials are zeros where it is direct. kAround
  // as in stream.h, for the keys' gradients.
  template <bool kAround>
  void one_query(int64_t b, const A* query_exponentials, bool direct, const A* grad_scores) const {
    const int64_t units = in_.units, count = positions_.count(b);
    const int64_t* visited = positions_.of(b);
    A* const grad_query = grad_query_ == nullptr ? nullptr : grad_query_ + b * units;
    A* const grad_keys = keys_of(b);
    A* const grad_v = each_v_.data() + b * units;
    clear_gaps(b);
    if (!direct) {
      source_gradients<kAround>(query_exponentials, sources_.exponentials(b), sources_.v(), grad_scores, units, visited,
                                count, grad_query, grad_keys, grad_v);
      return;
    }
    as_if_saturated(b, 1, grad_scores, 0);
    gradients_direct(sources_.query(b, 0), AccumulatedKeys<A>(in_, b).data(), sources_.v(), grad_scores, units, visited,
                     count, grad_query, grad_keys, grad_v);
  }

  // Number of tasks that `units` below divides a tile into.
  int64_t tasks() const { return (in_.units + kChunk - 1) / kChunk; }

  // One task of a tile of source b, with rows of grad_scores [rows, source] compact; tiles come in ascending order.
  // pair_scratch has kPairScratch elements.
  void units(int64_t task, int64_t b, const QueryTile<A>& tile, const A* grad_scores, A* pair_scratch) const {
    if (!in_.in_range[b]) {
      return;
    }
    const PairGradients<A> pairs{.queries = tile.exponentials.data(),
                                 .query_stride = in_.units,
                                 .query_count = tile.rows,
                                 .keys = sources_.exponentials(b),
                                 .v = sources_.v(),
                                 .units = in_.units,
                                 .grad_scores = grad_scores,
                                 .score_stride = in_.source,
                                 .grad_total = total(grad_scores, tile.rows, positions_.count(b)),
                                 .positions = positions_.of(b),
                                 .count = positions_.count(b),
                                 .grad_queries = query_of(b, tile.first),
                                 .grad_query_stride = in_.units,
                                 .accumulate = tile.first > 0,
                                 .grad_keys = keys_of(b),
                                 .grad_v = each_v_.data() + b * in_.units};
    pair_gradients(pairs, task * kChunk, std::min((task + 1) * kChunk, in_.units), pair_scratch);
  }

  // What the direct rows of a tile add, after all the tile's tasks.
  void direct(int64_t b, const QueryTile<A>& tile, const A* grad_scores) const {
    if (!in_.in_range[b]) {
      as_if_saturated(b, tile.rows, grad_scores, tile.first);
    }
    for (int64_t i = 0; i < tile.rows; ++i) {
      if (tile.direct.data()[i]) {
        gradients_direct(sources_.query(b, tile.first + i), AccumulatedKeys<A>(in_, b).data(), sources_.v(),
                         grad_scores + i * in_.source, in_.units, positions_.of(b), positions_.count(b),
                         query_of(b, tile.first + i), keys_of(b), each_v_.data() + b * in_.units);
      }
    }
  }

  // Zeros the keys' gradients of positions that are not visited.
  void clear_gaps(int64_t b) const {
    for_each_gap(positions_.of(b), positions_.count(b), in_.source, [&](int64_t from, int64_t to) {
      std::fill(keys_of(b) + from * in_.units, keys_of(b) + to * in_.units, A(0));
    });
  }

  // Adds the sources' rows of v's gradient, in order.
  void finish() const {
    parallel_over(in_.units, in_.batch, [&](int64_t begin, int64_t end) {
      std::fill(grad_v_ + begin, grad_v_ + end, A(0));
      for (int64_t b = 0; b < in_.batch; ++b) {
        const A* row = each_v_.data() + b * in_.units;
        for_each_vector<A>(end - begin, [&](int64_t u, auto lanes) SEQ2SEQ_FAST_LAMBDA {
          store(grad_v_ + begin + u, load(grad_v_ + begin + u, lanes) + load(row + begin + u, lanes), lanes);
        });
      }
    });
  }

 private:
  static constexpr int64_t kChunk = 4 * kUnitTile<A>;

  A* keys_of(int64_t b) const { return grad_keys_ + b * in_.source * in_.units; }
  A* query_of(int64_t b, int64_t i) const {
    return grad_query_ == nullptr ? nullptr : grad_query_ + (b * in_.queries + i) * in_.units;
  }

  A total(const A* scores, int64_t rows, int64_t count) const {
    A sum = 0;
    for (int64_t i = 0; i < rows; ++i) {
      sum += sum_row(scores + i * in_.source, count);
    }
    return sum;
  }

  // What the exponential form gives for zeroed queries: nothing, and -1 in tanh's place.
  void as_if_saturated(int64_t b, int64_t rows, const A* scores, int64_t first) const {
    const int64_t units = in_.units;
    if (grad_query_ != nullptr) {
      std::fill_n(query_of(b, first), rows * units, A(0));
    }
    A* const grad_v = each_v_.data() + b * units;
    if (first == 0) {
      for (int64_t n = 0; n < positions_.count(b); ++n) {
        std::fill_n(keys_of(b) + positions_.of(b)[n] * units, units, A(0));
      }
      std::fill_n(grad_v, units, A(0));
    }
    const A sum = total(scores, rows, positions_.count(b));
    std::for_each_n(grad_v, units, [sum](A& grad) { grad -= sum; });
  }

  const Sources<A>& sources_;
  const ScoreInputs& in_;
  const Positions& positions_;
  A* const grad_query_;
  A* const grad_keys_;
  A* const grad_v_;
  Buffer<A> each_v_;  // [batch, units]
};

}  // namespace seq2seq_fast::cpu
