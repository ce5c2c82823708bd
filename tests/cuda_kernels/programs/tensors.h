// What the programs that exercise launchers share: tensors of exact size, and a count of what went wrong.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "cuda/storage.h"

namespace seq2seq_fast {

inline int failures = 0;

inline void check(const char* what, cudaError_t error) {
  if (error == cudaSuccess) return;
  printf("Error: %s: %s\n", what, cudaGetErrorString(error));
  ++failures;
}

// A tensor with its exact size, 16-byte aligned, NaN until it is filled.
template <class T>
struct Tensor {
  explicit Tensor(int64_t count)
      : count(count), data(static_cast<T*>(aligned_alloc(16, (count * sizeof(T) + 15) / 16 * 16))) {
    memset(static_cast<void*>(data), 0xFF, count * sizeof(T));
  }
  ~Tensor() { free(data); }
  Tensor(const Tensor&) = delete;

  void fill(unsigned seed, float scale) {
    uint64_t state = seed * 0x9E3779B97F4A7C15ull + 1;
    for (int64_t i = 0; i < count; ++i) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      data[i] = from_float<T>(scale * (float(state >> 40) / float(1 << 23) - 1.0f));
    }
  }
  float operator[](int64_t i) const { return to_float(data[i]); }

  int64_t count;
  T* data;
};

}  // namespace seq2seq_fast
