// The emulated GPU: blocks of fibers, one fiber a CUDA thread, all on one operating system thread.
#pragma once

#include <climits>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "cudafiber/language.h"
#include "cudafiber/sanitizers.h"
#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace cudafiber {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The line of a kernel that waits.
struct Site {
  const char* file = nullptr;
  int line = 0;
  bool operator==(const Site& other) const { return line == other.line && file == other.file; }
};

enum class Waiting { no, for_block, for_warp, for_grid, done };
enum class WarpOperation { none, shuffle, ballot, any, all, synchronize };

// cp.async in flight: the bytes arrive when the thread waits for their group.
struct PendingCopy {
  void* to;
  const void* from;
  size_t bytes;
  int group;
};

struct Block;

// A stack and what runs on it: one CUDA thread after another, of one launch after another.
struct Carrier {
  static constexpr size_t stack_bytes = 64 * 1024;

  std::unique_ptr<char[]> stack{new char[stack_bytes]};
  void* stack_pointer = nullptr;
#ifndef __x86_64__
  ucontext_t context;
#endif
  void* address_sanitizer = nullptr;
  void* thread_sanitizer = nullptr;
};

struct Fiber {
  uint3 index;
  unsigned lane;
  Block* block;
  Fiber* warp;  // lane 0's
  Waiting waiting;
  Site site;
  WarpOperation operation;
  unsigned mask;
  int source_lane;
  uint64_t given, received;
  std::vector<PendingCopy> copies;
  int copy_group;
  Carrier* carrier;
};

// What __syncthreads_or, _and and _count gather.
struct Votes {
  int any = 0, all = 1, count = 0;
};

struct Block {
  uint3 index;
  std::vector<Fiber> fibers;
  std::vector<unsigned> order;
  unsigned live, at_barrier;
  // Barriers take turns with two clocks: who leaves one late must not learn what others did on their way to the next.
  unsigned generation = 0;
  char clocks[2];
  Votes gathering, gathered;
  std::unique_ptr<char[]> shared;
};

struct Machine {
  Fiber* current = nullptr;
  dim3 grid, block;
  bool cooperative = false;
  unsigned at_grid_barrier = 0, grid_generation = 0;
  char grid_clocks[2];
  // What the scheduler knows when threads begin. It is apart from what they leave when they end: who begins late must
  // not learn what others of the launch did.
  char starting_clock;
  std::function<void()> kernel;
  std::string error, skipped_site;
  std::vector<std::unique_ptr<Carrier>> carriers;
  void* stack_pointer = nullptr;
#ifndef __x86_64__
  ucontext_t context;
#endif
  const void* stack_bottom = nullptr;
  size_t stack_size = 0;
  void* address_sanitizer = nullptr;
#if defined(__SANITIZE_THREAD__)
  void* thread_sanitizer = __tsan_get_current_fiber();
#endif
};

inline Machine& machine() {
  static Machine instance;
  return instance;
}

inline Fiber* current() { return machine().current; }

inline std::string where(const Fiber* fiber) {
  const uint3 &block = fiber->block->index, &thread = fiber->index;
  const auto triple = [](const uint3& i) {
    return "(" + std::to_string(i.x) + "," + std::to_string(i.y) + "," + std::to_string(i.z) + ")";
  };
  const std::string place =
      fiber->site.file ? std::string(fiber->site.file) + ":" + std::to_string(fiber->site.line) : "?";
  return "block" + triple(block) + " thread" + triple(thread) + " at " + place;
}

// CUDAFIBER_SKIP=FILE:LINE leaves out that barrier: a proof that tests notice when it is missing.
inline bool skipped(const Site& site) {
  const std::string& skip = machine().skipped_site;
  if (skip.empty()) return false;
  const std::string here = "/" + std::string(site.file) + ":" + std::to_string(site.line);
  return here.size() >= skip.size() + 1 &&
         here.compare(here.size() - skip.size() - 1, std::string::npos, "/" + skip) == 0;
}

}  // namespace cudafiber

#define threadIdx (cudafiber::current()->index)
#define blockIdx (cudafiber::current()->block->index)
inline const dim3& blockDim = cudafiber::machine().block;
inline const dim3& gridDim = cudafiber::machine().grid;
