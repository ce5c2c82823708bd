// Threads: ATen's pool, with a grain in arithmetic rather than in rows.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>

namespace seq2seq_fast::cpu {

// Below this many units (a unit: a few flops and a transcendental function) a thread costs more than it does.
inline constexpr int64_t kUnitsPerThread = 8192;

// body(begin, end) over [0, count) on several threads, each with at least kUnitsPerThread units. What body throws
// reaches the caller.
template <typename Body>
inline void parallel_over(int64_t count, int64_t units_each, const Body& body) {
  at::parallel_for(0, count, std::max<int64_t>(1, kUnitsPerThread / std::max<int64_t>(1, units_each)), body);
}

// body(row) for each row.
template <typename Body>
inline void parallel_rows(int64_t count, int64_t units_each, const Body& body) {
  parallel_over(count, units_each, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      body(row);
    }
  });
}

// Tasks of unequal size: worker(next) on each thread, where next() gives a task's number until it gives -1. Which
// thread has a task does not matter to its result.
template <typename Worker>
inline void parallel_tasks(int64_t count, int64_t units_each, const Worker& worker) {
  std::atomic<int64_t> taken{0};
  const auto next = [&]() -> int64_t {
    const int64_t task = taken.fetch_add(1, std::memory_order_relaxed);
    return task < count ? task : -1;
  };
  const int64_t useful = std::max<int64_t>(1, count * std::max<int64_t>(1, units_each) / kUnitsPerThread);
  const int64_t threads = std::min<int64_t>({at::get_num_threads(), count, useful});
  at::parallel_for(0, threads, 1, [&](int64_t, int64_t) { worker(next); });
}

// Sources of a batch, divided among the threads where each thread gets several. Otherwise one worker has them all, and
// the parallel regions inside it have the threads.
template <typename Worker>
inline void each_source(int64_t batch, int64_t units_each, const Worker& worker) {
  if (batch >= 2 * at::get_num_threads()) {
    return parallel_tasks(batch, units_each, worker);
  }
  int64_t taken = 0;
  worker([&] { return taken < batch ? taken++ : -1; });
}

}  // namespace seq2seq_fast::cpu
