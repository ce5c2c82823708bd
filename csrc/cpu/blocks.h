// A recurrence's batch, divided among threads. Sentences do not meet in it, so a thread takes some of them through all
// positions and waits for nobody; a batch too small for that goes through as one, and threads share each position's
// work.
#pragma once

#include "parallel.h"

namespace seq2seq_fast::cpu {

// With fewer rows than this a thread would read a weight faster than it can multiply by it.
inline constexpr int64_t kRowsPerThread = 4;

// Sentences that go through the sequence together: their keys and values stay in cache from position to position.
inline constexpr int64_t kBlockRows = 16;

// body(first, count) for blocks of at most `most` rows.
template <typename Body>
void for_each_block(int64_t batch, int64_t most, const Body& body) {
  if (batch < kRowsPerThread * thread_count() && !in_parallel_region) {
    return body(0, batch);
  }
  parallel_for(0, batch, kRowsPerThread, [&](int64_t begin, int64_t end) {
    const int64_t blocks = (end - begin + most - 1) / most;
    for (int64_t i = 0; i < blocks; ++i) {
      const int64_t first = begin + (end - begin) * i / blocks;
      body(first, begin + (end - begin) * (i + 1) / blocks - first);
    }
  });
}

// body(row) for each row of a block.
template <typename Body>
void for_each_row(int64_t count, const Body& body) {
  parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      body(row);
    }
  });
}

}  // namespace seq2seq_fast::cpu
