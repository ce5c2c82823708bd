// Launching a kernel, and the shared memory it gets.
#pragma once

#include <cuda_runtime.h>
#include <stdint.h>

namespace seq2seq_fast {

// All of a block's shared memory, 16-byte aligned.
__device__ __forceinline__ float* shared_memory() {
#ifdef __CUDACC__
  extern __shared__ float4 memory[];
  return reinterpret_cast<float*>(memory);
#else
  return static_cast<float*>(cudafiber::shared_memory());
#endif
}

__host__ __device__ constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
__host__ __device__ constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// Where a block works: on a source, a tile of its rows, and a part of what those visit. All blocks lie along x, since y
// and z of a grid end at 65,535.
struct BlockPlaces {
  int64_t sources;
  unsigned tiles, parts;

  __host__ __device__ __forceinline__ BlockPlaces(int64_t sources, int64_t tiles, int64_t parts)
      : sources(sources), tiles(unsigned(tiles)), parts(unsigned(parts)) {}

  int64_t blocks() const { return sources * tiles * parts; }
  __device__ __forceinline__ int64_t source() const { return blockIdx.x / parts / tiles; }
  __device__ __forceinline__ int64_t tile() const { return blockIdx.x / parts % tiles; }
  __device__ __forceinline__ int64_t part() const { return blockIdx.x % parts; }
};

// Nothing is launched for an empty grid. A cooperative grid has a barrier of its own; all of its blocks must find room.
template <class... Parameters, class... Arguments>
cudaError_t launch_grid(bool cooperative, void (*kernel)(Parameters...), int64_t blocks, int threads,
                        size_t shared_bytes, cudaStream_t stream, Arguments... arguments) {
  constexpr int64_t most_blocks = 0x7FFFFFFF;
  if (blocks == 0) return cudaSuccess;
  if (blocks > most_blocks) return cudaErrorInvalidConfiguration;
  if (shared_bytes > 48 * 1024) {
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared_bytes));
    if (error != cudaSuccess) return error;
  }
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeCooperative;
  attribute.val.cooperative = cooperative;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(unsigned(blocks));
  config.blockDim = dim3(unsigned(threads));
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), int64_t blocks, int threads, size_t shared_bytes, cudaStream_t stream,
                   Arguments... arguments) {
  return launch_grid(false, kernel, blocks, threads, shared_bytes, stream, arguments...);
}

}  // namespace seq2seq_fast
