// Barriers of a block and of a cooperative grid.
#pragma once

#include "cudafiber/context_switch.h"

#define CUDAFIBER_SITE int line = __builtin_LINE(), const char *file = __builtin_FILE()

namespace cudafiber {

inline void wait_for_block(bool vote, Site site) {
  Unwatched scope;
  if (skipped(site)) return;
  Fiber* fiber = current();
  Block* block = fiber->block;
  char* const clock = &block->clocks[block->generation % 2];
  publish(clock);
  fiber->site = site;
  fiber->waiting = Waiting::for_block;
  block->gathering.any |= vote;
  block->gathering.all &= vote;
  block->gathering.count += vote;
  if (++block->at_barrier < block->fibers.size()) {
    switch_to_scheduler();
    observe(clock);
    return;
  }
  for (const Fiber& other : block->fibers)
    if (!(other.site == site)) fail("divergent __syncthreads: " + where(fiber) + " and " + where(&other));
  block->gathered = block->gathering;
  block->gathering = Votes();
  block->at_barrier = 0;
  ++block->generation;
  for (Fiber& other : block->fibers) other.waiting = Waiting::no;
  observe(clock);
}

inline void wait_for_grid(Site site) {
  Unwatched scope;
  if (skipped(site)) return;
  Machine& m = machine();
  Fiber* fiber = m.current;
  fiber->site = site;
  if (!m.cooperative) fail("grid barrier without a cooperative launch: " + where(fiber));
  char* const clock = &m.grid_clocks[m.grid_generation % 2];
  publish(clock);
  fiber->waiting = Waiting::for_grid;
  ++m.at_grid_barrier;
  switch_to_scheduler();
  observe(clock);
}

}  // namespace cudafiber

inline void __syncthreads(CUDAFIBER_SITE) { cudafiber::wait_for_block(false, {file, line}); }
inline int __syncthreads_or(int vote, CUDAFIBER_SITE) {
  cudafiber::wait_for_block(vote, {file, line});
  return cudafiber::current()->block->gathered.any;
}
inline int __syncthreads_and(int vote, CUDAFIBER_SITE) {
  cudafiber::wait_for_block(vote, {file, line});
  return cudafiber::current()->block->gathered.all;
}
inline int __syncthreads_count(int vote, CUDAFIBER_SITE) {
  cudafiber::wait_for_block(vote, {file, line});
  return cudafiber::current()->block->gathered.count;
}
