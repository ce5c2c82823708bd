// Threads: torch's own pool through its C interface, with a grain in arithmetic rather than in rows.
#pragma once

#include <torch/csrc/stable/c/shim.h>
#include <torch/headeronly/util/shim_utils.h>

#include <algorithm>
#include <atomic>
#include <exception>

namespace seq2seq_fast::cpu {

inline int64_t thread_count() {
  uint32_t count;
  TORCH_ERROR_CODE_CHECK(torch_get_num_threads(&count));
  return count;
}

// Whether this thread is inside of a parallel_for of this file, where another one would have no threads to share.
inline thread_local bool in_parallel_region = false;

// body(begin, end) over [begin, end) on several threads, each with at least `grain` of it. What body throws reaches the
// caller.
template <typename Body>
inline void parallel_for(int64_t begin, int64_t end, int64_t grain, const Body& body) {
  if (end - begin <= std::max<int64_t>(1, grain) || in_parallel_region) {
    if (begin < end) {
      body(begin, end);
    }
    return;
  }
  struct Shared {
    const Body& body;
    std::atomic_flag thrown = ATOMIC_FLAG_INIT;
    std::exception_ptr what;
  } shared{body};
  const auto region = [](int64_t first, int64_t last, void* context) {
    Shared& shared = *static_cast<Shared*>(context);
    const bool outside = !in_parallel_region;
    in_parallel_region = true;
    try {
      shared.body(first, last);
    } catch (...) {
      if (!shared.thrown.test_and_set()) {
        shared.what = std::current_exception();
      }
    }
    in_parallel_region = !outside;
  };
  TORCH_ERROR_CODE_CHECK(torch_parallel_for(begin, end, grain, region, &shared));
  if (shared.what) {
    std::rethrow_exception(shared.what);
  }
}

// Below this many units (a unit: a few flops and a transcendental function) a thread costs more than it does.
inline constexpr int64_t kUnitsPerThread = 8192;

// body(begin, end) over [0, count) on several threads, each with at least kUnitsPerThread units. What body throws
// reaches the caller.
template <typename Body>
inline void parallel_over(int64_t count, int64_t units_each, const Body& body) {
  parallel_for(0, count, std::max<int64_t>(1, kUnitsPerThread / std::max<int64_t>(1, units_each)), body);
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
  const int64_t threads = std::min<int64_t>({thread_count(), count, useful});
  parallel_for(0, threads, 1, [&](int64_t, int64_t) { worker(next); });
}

// Sources of a batch, divided among the threads where each thread gets several. Otherwise one worker has them all, and
// the parallel regions inside it have the threads.
template <typename Worker>
inline void each_source(int64_t batch, int64_t units_each, const Worker& worker) {
  if (batch >= 2 * thread_count()) {
    return parallel_tasks(batch, units_each, worker);
  }
  int64_t taken = 0;
  worker([&] { return taken < batch ? taken++ : -1; });
}

}  // namespace seq2seq_fast::cpu
