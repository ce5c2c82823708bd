// Runs a grid: blocks one after another, or all of them side by side for a cooperative launch.
#pragma once

#include "cudafiber/context_switch.h"
#include "cudafiber/schedule.h"

namespace cudafiber {

constexpr size_t most_shared_memory = 227 * 1024;

inline void* shared_memory() { return current()->block->shared.get(); }

class Launch {
 public:
  Launch(dim3 grid, dim3 block, size_t shared_bytes, bool cooperative, std::function<void()> kernel)
      : machine_(machine()), shared_bytes_(shared_bytes) {
    machine_.grid = grid;
    machine_.block = block;
    machine_.kernel = std::move(kernel);
    machine_.cooperative = cooperative;
    machine_.error.clear();
    machine_.at_grid_barrier = 0;
    const char* skip = getenv("CUDAFIBER_SKIP");
    machine_.skipped_site = skip ? skip : "";
    threads_ = block.x * block.y * block.z;
    blocks_ = grid.x * grid.y * grid.z;
    const size_t at_once = size_t(threads_) * (cooperative ? blocks_ : 1);
    while (machine_.carriers.size() < at_once) machine_.carriers.push_back(make_carrier());
  }

  void run() {
    try {
      if (machine_.cooperative)
        run_together();
      else
        run_one_by_one();
    } catch (const Error&) {
      machine_.carriers.clear();  // they are in the middle of a kernel
      throw;
    }
    observe(&machine_);
    machine_.current = nullptr;
  }

 private:
  void run_one_by_one() {
    Block block;
    for (unsigned id : schedule_.order(blocks_, 1)) {
      start(block, id, 0);
      publish(&machine_.starting_clock);
      advance(block);
      observe(&machine_);
      if (block.live) report_stuck(block);
    }
  }

  void run_together() {
    std::vector<Block> blocks(blocks_);
    for (unsigned id = 0; id < blocks_; ++id) start(blocks[id], id, id);
    publish(&machine_.starting_clock);
    const std::vector<unsigned> order = schedule_.order(blocks_, 1);
    for (;;) {
      unsigned live = 0;
      for (unsigned id : order) advance(blocks[id]);
      for (Block& block : blocks) live += block.live;
      if (!live) break;
      if (machine_.at_grid_barrier != size_t(threads_) * blocks_) {
        for (Block& block : blocks) report_stuck(block);
        throw Error("grid barrier not reached by all threads");
      }
      machine_.at_grid_barrier = 0;
      ++machine_.grid_generation;
      for (Block& block : blocks)
        for (Fiber& fiber : block.fibers) fiber.waiting = Waiting::no;
    }
  }

  void start(Block& block, unsigned id, unsigned slot) {
    const dim3 &grid = machine_.grid, &shape = machine_.block;
    block.index = {id % grid.x, id / grid.x % grid.y, id / grid.x / grid.y};
    block.fibers.resize(threads_);
    block.live = threads_;
    block.at_barrier = 0;
    block.gathering = Votes();
    block.shared.reset(new char[shared_bytes_]);
    memset(block.shared.get(), 0xFF, shared_bytes_);  // NaN in every floating point format
    for (unsigned i = 0; i < threads_; ++i) {
      Fiber& fiber = block.fibers[i];
      fiber.index = {i % shape.x, i / shape.x % shape.y, i / shape.x / shape.y};
      fiber.lane = i % 32;
      fiber.warp = &block.fibers[i - i % 32];
      fiber.block = &block;
      fiber.waiting = Waiting::no;
      fiber.site = Site();
      fiber.copies.clear();
      fiber.copy_group = 0;
      fiber.carrier = machine_.carriers[size_t(slot) * threads_ + i].get();
    }
    block.order = schedule_.order(threads_, 32);
  }

  // Run every ready thread of the block until none is ready.
  void advance(Block& block) {
    for (bool progress = true; progress;) {
      progress = false;
      for (size_t begin = 0, end; begin < block.order.size(); begin = end) {
        for (end = begin; end < block.order.size() && block.order[end] / 32 == block.order[begin] / 32;) ++end;
        for (bool again = true; again;) {
          again = false;
          for (size_t i = begin; i < end; ++i) {
            Fiber* fiber = &block.fibers[block.order[i]];
            if (fiber->waiting != Waiting::no) continue;
            switch_to_fiber(fiber);
            if (!machine_.error.empty()) throw Error(machine_.error);
            progress = true;
            again = schedule_.greedy();
          }
        }
      }
    }
  }

  [[noreturn]] static void stuck(const char* what, const Fiber& fiber) { throw Error(what + where(&fiber)); }

  static void report_stuck(const Block& block) {
    for (const Fiber& fiber : block.fibers) {
      if (fiber.waiting == Waiting::for_block) stuck("__syncthreads not reached by all threads: ", fiber);
      if (fiber.waiting == Waiting::for_warp) stuck("warp operation not reached by all lanes of its mask: ", fiber);
    }
  }

  Machine& machine_;
  Schedule schedule_;
  size_t shared_bytes_;
  unsigned threads_, blocks_;
};

inline void launch(dim3 grid, dim3 block, size_t shared_bytes, bool cooperative, std::function<void()> kernel) {
  Unwatched scope;
  Launch(grid, block, shared_bytes, cooperative, std::move(kernel)).run();
}

}  // namespace cudafiber
