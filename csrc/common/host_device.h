// Functions that a CPU and a GPU share.
#pragma once

#ifdef __CUDACC__
#define HOST_DEVICE __host__ __device__ __forceinline__
#else
#define HOST_DEVICE inline
#endif

#include <math.h>

namespace seq2seq_fast {

// 2^x; results below the normal range may be zero.
HOST_DEVICE float fast_exp2(float x) {
#ifdef __CUDA_ARCH__
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#else
  return exp2f(x);
#endif
}

// 1 / x for |x| between 2^-126 and 2^126, to one unit in the last place.
HOST_DEVICE float fast_reciprocal(float x) {
#ifdef __CUDA_ARCH__
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#else
  return 1.0f / x;
#endif
}

// e^x for softmax's x <= 0.
HOST_DEVICE float fast_exp(float x) { return fast_exp2(x * 1.44269504f); }

}  // namespace seq2seq_fast
