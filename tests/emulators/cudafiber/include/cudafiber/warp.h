// What the lanes of a warp do together: shuffles, votes, __syncwarp.
#pragma once

#include "cudafiber/barrier.h"

namespace cudafiber {

// Waits until every lane of the mask is here with the same operation; the last one resolves it for all.
template <class Resolve>
void meet(WarpOperation operation, unsigned mask, Site site, Resolve resolve) {
  Fiber* fiber = current();
  Fiber* warp = fiber->warp;
  const bool fence = operation == WarpOperation::synchronize;
  if (fence) publish(warp);
  fiber->operation = operation;
  fiber->mask = mask;
  fiber->site = site;
  fiber->waiting = Waiting::for_warp;
  if (!(mask >> fiber->lane & 1)) fail("caller's lane not in its mask: " + where(fiber));
  const Fiber* end = fiber->block->fibers.data() + fiber->block->fibers.size();
  for (unsigned rest = mask; rest; rest &= rest - 1) {
    const Fiber* other = warp + __builtin_ctz(rest);
    if (other >= end) fail("mask names a lane that does not exist: " + where(fiber));
    if (other->waiting != Waiting::for_warp) {
      switch_to_scheduler();
      if (fence) observe(warp);
      return;
    }
    if (other->mask != mask || other->operation != operation)
      fail("warp operations differ: " + where(fiber) + " and " + where(other));
  }
  resolve(warp);
  for (unsigned rest = mask; rest; rest &= rest - 1) warp[__builtin_ctz(rest)].waiting = Waiting::no;
  if (fence) observe(warp);
}

template <class T>
T shuffle(unsigned mask, T value, int source_lane, bool within, Site site) {
  static_assert(sizeof(T) <= 8, "a shuffle carries at most 8 bytes");
  Unwatched scope;
  Fiber* fiber = current();
  fiber->given = 0;
  memcpy(&fiber->given, &value, sizeof value);
  fiber->source_lane = within ? source_lane : int(fiber->lane);
  meet(WarpOperation::shuffle, mask, site, [mask](Fiber* warp) {
    constexpr uint64_t from_nowhere = 0xFFFFDEADFFFFDEAD;
    for (unsigned rest = mask; rest; rest &= rest - 1) {
      Fiber& lane = warp[__builtin_ctz(rest)];
      lane.received = mask >> lane.source_lane & 1 ? warp[lane.source_lane].given : from_nowhere;
    }
  });
  T result;
  memcpy(&result, &fiber->received, sizeof result);
  return result;
}

inline unsigned vote(WarpOperation operation, unsigned mask, int predicate, Site site) {
  Unwatched scope;
  Fiber* fiber = current();
  fiber->given = predicate != 0;
  meet(operation, mask, site, [mask](Fiber* warp) {
    unsigned ballot = 0;
    for (unsigned rest = mask; rest; rest &= rest - 1)
      ballot |= unsigned(warp[__builtin_ctz(rest)].given) << __builtin_ctz(rest);
    for (unsigned rest = mask; rest; rest &= rest - 1) warp[__builtin_ctz(rest)].received = ballot;
  });
  const unsigned ballot = unsigned(fiber->received);
  if (operation == WarpOperation::any) return ballot != 0;
  if (operation == WarpOperation::all) return ballot == mask;
  return ballot;
}

inline int lane() { return int(current()->lane); }

}  // namespace cudafiber

inline void __syncwarp(unsigned mask = 0xFFFFFFFF, CUDAFIBER_SITE) {
  cudafiber::Unwatched scope;
  const cudafiber::Site site{file, line};
  if (!cudafiber::skipped(site))
    cudafiber::meet(cudafiber::WarpOperation::synchronize, mask, site, [](cudafiber::Fiber*) {});
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, CUDAFIBER_SITE) {
  const int lane = cudafiber::lane();
  return cudafiber::shuffle(mask, value, (lane & ~(width - 1)) + (source & (width - 1)), true, {file, line});
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, CUDAFIBER_SITE) {
  const int lane = cudafiber::lane(), source = lane ^ bits;
  return cudafiber::shuffle(mask, value, source, (source & ~(width - 1)) <= (lane & ~(width - 1)), {file, line});
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, CUDAFIBER_SITE) {
  const int lane = cudafiber::lane();
  return cudafiber::shuffle(mask, value, lane + int(delta), (lane & (width - 1)) + int(delta) < width, {file, line});
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, CUDAFIBER_SITE) {
  const int lane = cudafiber::lane();
  return cudafiber::shuffle(mask, value, lane - int(delta), (lane & (width - 1)) >= int(delta), {file, line});
}
inline unsigned __ballot_sync(unsigned mask, int predicate, CUDAFIBER_SITE) {
  return cudafiber::vote(cudafiber::WarpOperation::ballot, mask, predicate, {file, line});
}
inline int __any_sync(unsigned mask, int predicate, CUDAFIBER_SITE) {
  return int(cudafiber::vote(cudafiber::WarpOperation::any, mask, predicate, {file, line}));
}
inline int __all_sync(unsigned mask, int predicate, CUDAFIBER_SITE) {
  return int(cudafiber::vote(cudafiber::WarpOperation::all, mask, predicate, {file, line}));
}
