// Numbers in memory are float, half or bfloat16; in registers they are float.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <stdint.h>
#include <string.h>

namespace seq2seq_fast {

using Half = __half;
using BFloat16 = __nv_bfloat16;

// A tensor's dtype as Python names it to a launcher.
enum Dtype : int { float32 = 0, float16 = 1, bfloat16 = 2 };

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(Half x) { return __half2float(x); }
__device__ __forceinline__ float to_float(BFloat16 x) { return __bfloat162float(x); }

template <class T>
__device__ __forceinline__ T from_float(float x);
template <>
__device__ __forceinline__ float from_float<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ Half from_float<Half>(float x) {
  return __float2half(x);
}
template <>
__device__ __forceinline__ BFloat16 from_float<BFloat16>(float x) {
  return __float2bfloat16(x);
}

// Elements that one 16-byte access moves.
template <class T>
constexpr int vector_width = int(16 / sizeof(T));

// W consecutive numbers as stored. With W > 1 the address must be 16-byte aligned.
template <class T, int W>
struct Packed {
  T items[W];

  __device__ __forceinline__ float operator[](int i) const { return to_float(items[i]); }

  static __device__ __forceinline__ Packed load(const T* from) {
    Packed packed;
    if constexpr (W == 1) {
      packed.items[0] = *from;
    } else {
      constexpr int accesses = W * int(sizeof(T)) / 16;
      uint4 raw[accesses];
#pragma unroll
      for (int i = 0; i < accesses; ++i) raw[i] = reinterpret_cast<const uint4*>(from)[i];
      memcpy(static_cast<void*>(&packed), raw, sizeof raw);
    }
    return packed;
  }

  __device__ __forceinline__ void store(T* to) const {
    if constexpr (W == 1) {
      *to = items[0];
    } else {
      constexpr int accesses = W * int(sizeof(T)) / 16;
      uint4 raw[accesses];
      memcpy(raw, static_cast<const void*>(this), sizeof raw);
#pragma unroll
      for (int i = 0; i < accesses; ++i) reinterpret_cast<uint4*>(to)[i] = raw[i];
    }
  }
};

template <int W, class T>
__device__ __forceinline__ void store_floats(T* to, const float (&values)[W]) {
  Packed<T, W> packed;
#pragma unroll
  for (int i = 0; i < W; ++i) packed.items[i] = from_float<T>(values[i]);
  packed.store(to);
}

inline bool aligned(const void* address) { return reinterpret_cast<uintptr_t>(address) % 16 == 0; }

// Calls body with a zero of the dtype's type.
template <class Body>
cudaError_t with_dtype(int dtype, Body body) {
  switch (dtype) {
    case float32:
      return body(float());
    case float16:
      return body(Half());
    case bfloat16:
      return body(BFloat16());
    default:
      return cudaErrorInvalidValue;
  }
}

// Calls body with the width of an access as a type: 16 bytes where every row starts aligned, else one element.
template <int W>
struct Width {
  static constexpr int value = W;
};

template <class T, class Body>
cudaError_t with_width(bool vectors, Body body) {
  return vectors ? body(Width<vector_width<T>>()) : body(Width<1>());
}

}  // namespace seq2seq_fast
