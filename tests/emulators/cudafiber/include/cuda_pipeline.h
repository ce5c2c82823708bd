// cp.async: the bytes arrive at the wait; until then the destination is NaN.
#pragma once

#include "cuda_runtime.h"

inline void __pipeline_memcpy_async(void* to, const void* from, size_t bytes, size_t zeros = 0, CUDAFIBER_SITE) {
  cudafiber::Fiber* fiber = cudafiber::current();
  fiber->site = {file, line};
  if (bytes != 4 && bytes != 8 && bytes != 16)
    cudafiber::fail("cp.async of other than 4, 8 or 16 bytes: " + where(fiber));
  if ((uintptr_t(to) | uintptr_t(from)) % bytes) cudafiber::fail("misaligned cp.async: " + where(fiber));
  memset(to, 0xFF, bytes);
  memset(static_cast<char*>(to) + bytes - zeros, 0, zeros);
  fiber->copies.push_back({to, from, bytes - zeros, fiber->copy_group});
}

inline void __pipeline_commit() { ++cudafiber::current()->copy_group; }
inline void __pipeline_wait_prior(int groups) { cudafiber::finish_copies(cudafiber::current(), groups); }
