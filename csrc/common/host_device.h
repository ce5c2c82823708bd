// Functions that a CPU and a GPU share, and float's elementary ones. The formulas of this folder take any number: a
// float here, vectors in csrc/cpu, whose functions have the same names (csrc/cpu/formulas.h).
#pragma once

#ifdef __CUDACC__
#define HOST_DEVICE __host__ __device__ __forceinline__
#else
#define HOST_DEVICE inline __attribute__((always_inline))
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

// e^2x for any x, with a product that is rounded.
HOST_DEVICE float fast_squared_exponential(float x) { return fast_exp2(2.88539008f * x); }

HOST_DEVICE float exponential(float x) { return expf(x); }
HOST_DEVICE float tanh(float x) { return tanhf(x); }
HOST_DEVICE float fmadd(float a, float b, float c) { return fmaf(a, b, c); }
HOST_DEVICE float fnmadd(float a, float b, float c) { return fmaf(-a, b, c); }

// a / b for b in the range of fast_reciprocal.
HOST_DEVICE float quotient(float a, float b) { return a * fast_reciprocal(b); }

// A denominator cut off where its reciprocal is below float's notice: two of them can be multiplied. NaN passes.
constexpr float largest_denominator = 0x1p60f;
HOST_DEVICE float capped(float denominator) {
  return denominator > largest_denominator ? largest_denominator : denominator;
}

}  // namespace seq2seq_fast
