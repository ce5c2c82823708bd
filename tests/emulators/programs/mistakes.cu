// Kernels with one mistake each, named on the command line; "none" is the correct one.
#include <cooperative_groups.h>
#include <cuda_runtime.h>

#include <cstdio>
#include <string>

namespace {

enum Mistake {
  none,
  missing_barrier,
  divergent_barrier,
  unreached_barrier,
  absent_lane,
  stray_lane,
  overrun,
  misaligned,
  grid_alone
};
const char* const names[] = {"none",       "missing_barrier", "divergent_barrier", "unreached_barrier", "absent_lane",
                             "stray_lane", "overrun",         "misaligned",        "grid_alone"};

__global__ void reverse(float* out, Mistake mistake) {
  float* shared = static_cast<float*>(cudafiber::shared_memory());
  const unsigned i = threadIdx.x, n = blockDim.x;
  shared[mistake == overrun ? i + 1 : i] = float(i);
  if (mistake == divergent_barrier && i == 40) {
    __syncthreads();
  } else if (mistake == unreached_barrier) {
    if (i != 40) __syncthreads();
  } else if (mistake != missing_barrier) {
    __syncthreads();
  }
  if (mistake == absent_lane && i != 3) __shfl_sync(0xFFFFFFFF, i, 0);
  if (mistake == stray_lane) __shfl_sync(1u, i, 0);
  if (mistake == misaligned) out[i] = reinterpret_cast<const float4*>(out + 1)->x;
  if (mistake == grid_alone) cooperative_groups::this_grid().sync();
  out[i] = shared[n - 1 - i];
}

// 0: right; 1: an error, which is printed; 2: a wrong result.
int launch(Mistake mistake) {
  constexpr int threads = 64;
  alignas(16) float out[threads];
  const cudaLaunchConfig_t config{1, threads, threads * sizeof(float), nullptr, nullptr, 0};
  const cudaError_t error = cudaLaunchKernelEx(&config, reverse, out, mistake);
  if (error != cudaSuccess) {
    printf("%s\n", cudaGetErrorString(error));
    return 1;
  }
  for (int i = 0; i < threads; ++i)
    if (out[i] != float(threads - 1 - i)) {
      printf("wrong result\n");
      return 2;
    }
  return 0;
}

}  // namespace

// The mistake comes second, and the correct kernel again behind an error: what a launch leaves must not matter to the
// next.
int main(int count, char** arguments) {
  for (int mistake = none; mistake <= grid_alone; ++mistake) {
    if (count != 2 || std::string(arguments[1]) != names[mistake]) continue;
    if (const int before = launch(none)) return before;
    const int found = launch(Mistake(mistake));
    return found == 1 && launch(none) ? 4 : found;
  }
  return 3;
}
