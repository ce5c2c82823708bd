// Which positions of each source are visited: the first `length`, and of those the ones that the mask has.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace seq2seq_fast::cpu {

class Positions {
 public:
  // lengths [batch] and mask [batch, source], dense, or null; a length is clamped to the source.
  Positions(int64_t batch, int64_t source, const int64_t* lengths, const bool* mask)
      : stride_(mask == nullptr ? 0 : source), counts_(batch, source) {
    for (int64_t b = 0; lengths != nullptr && b < batch; ++b) {
      counts_[b] = std::clamp<int64_t>(lengths[b], 0, source);
    }
    if (mask == nullptr) {
      positions_.resize(source);
      std::iota(positions_.begin(), positions_.end(), 0);
      return;
    }
    positions_.resize(batch * source);
    for (int64_t b = 0; b < batch; ++b) {
      int64_t* const row = positions_.data() + b * source;
      int64_t visited = 0;
      for (int64_t j = 0; j < counts_[b]; ++j) {
        row[visited] = j;
        visited += mask[b * source + j];
      }
      counts_[b] = visited;
    }
  }

  // The visited positions of source b in ascending order, count(b) of them.
  const int64_t* of(int64_t b) const { return positions_.data() + b * stride_; }
  int64_t count(int64_t b) const { return counts_[b]; }

 private:
  int64_t stride_;
  std::vector<int64_t> counts_;
  std::vector<int64_t> positions_;
};

// body(first, last) for each gap [first, last) between visited positions.
template <typename Body>
inline void for_each_gap(const int64_t* positions, int64_t count, int64_t source, const Body& body) {
  int64_t next = 0;
  for (int64_t n = 0; n < count; ++n) {
    if (positions[n] > next) {
      body(next, positions[n]);
    }
    next = positions[n] + 1;
  }
  if (next < source) {
    body(next, source);
  }
}

}  // namespace seq2seq_fast::cpu
