// Kernels over [rows, H] that read and write several gates a unit: W consecutive units a thread.
#pragma once

#include "cuda/launch.h"
#include "cuda/storage.h"

namespace seq2seq_fast {

constexpr int elementwise_threads = 256;

// Gates [rows, G H] with any distance between rows.
template <class T>
struct Gates {
  const T* data;
  int64_t row_stride;

  template <int W>
  __device__ __forceinline__ Packed<T, W> load(int64_t row, int gate, int64_t hidden, int64_t unit) const {
    return Packed<T, W>::load(data + row * row_stride + gate * hidden + unit);
  }
};

template <class T>
bool vectors(const Gates<T>& gates, int64_t hidden, int64_t width) {
  return hidden % width == 0 && gates.row_stride % width == 0 && aligned(gates.data);
}

// The row and first unit of this thread; false where there is none.
template <int W>
__device__ __forceinline__ bool place(int64_t rows, int64_t hidden, int64_t* row, int64_t* unit) {
  const int64_t groups = (hidden + W - 1) / W, i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  *row = i / groups;
  *unit = i % groups * W;
  return *row < rows;
}

inline int64_t elementwise_blocks(int64_t rows, int64_t hidden, int64_t width) {
  return ceil_div(rows * ceil_div(hidden, width), elementwise_threads);
}

// Units of a thread: 16 bytes of the narrower of two dtypes where everything is aligned, else one.
template <class T, class S, class Body>
cudaError_t with_units(bool all_vectors, Body body) {
  constexpr int width = vector_width<T> > vector_width<S> ? vector_width<T> : vector_width<S>;
  return all_vectors ? body(Width<width>()) : body(Width<1>());
}

template <class T, class S>
constexpr int64_t widest = vector_width<T> > vector_width<S> ? vector_width<T> : vector_width<S>;

// Gates as the launchers get them.
template <class T>
Gates<T> gates(const void* data, int64_t row_stride) {
  return {static_cast<const T*>(data), row_stride};
}

// Launches where all of these gates allow it the kernel of 16-byte accesses, else that of single elements.
template <class T, class S, class Body, class... All>
cudaError_t with_gates(int64_t size, Body body, const Gates<All>&... all) {
  return with_units<T, S>((vectors(all, size, widest<T, S>) && ...), body);
}

// Gates of one dtype with a state of the same, or of float: a recurrence may carry float32.
template <class Body>
cudaError_t with_dtypes(int gates_dtype, int state_dtype, Body body) {
  return with_dtype(gates_dtype, [&](auto gates) {
    if (state_dtype == float32) return body(gates, float());
    return state_dtype == gates_dtype ? body(gates, gates) : cudaErrorInvalidValue;
  });
}

}  // namespace seq2seq_fast
