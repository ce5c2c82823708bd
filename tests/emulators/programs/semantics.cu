// Shuffles, votes, barriers and 16-bit floats against their definitions in the CUDA C++ programming guide.
#include <cooperative_groups.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_pipeline.h>
#include <cuda_runtime.h>

#include <cstdio>

namespace {

constexpr unsigned every_lane = 0xFFFFFFFF;
int failures = 0;

void expect(const char* what, double got, double wanted) {
  if (got == wanted) return;
  printf("%s: got %g, wanted %g\n", what, got, wanted);
  ++failures;
}

template <class... Expected, class... Actual>
void run(dim3 grid, dim3 block, size_t shared, bool cooperative, void (*kernel)(Expected...), Actual... arguments) {
  cudaLaunchAttribute attribute;
  attribute.id = cudaLaunchAttributeCooperative;
  attribute.val.cooperative = cooperative;
  const cudaLaunchConfig_t config{grid, block, shared, nullptr, &attribute, 1};
  const cudaError_t error = cudaLaunchKernelEx(&config, kernel, arguments...);
  if (error != cudaSuccess) {
    printf("%s\n", cudaGetErrorString(error));
    ++failures;
  }
}

__global__ void warp_operations(int* out, int width) {
  const int thread = int(threadIdx.x + threadIdx.y * blockDim.x), lane = thread % 32;
  int* mine = out + thread * 9;
  mine[0] = __shfl_up_sync(every_lane, thread, 3, width);
  mine[1] = __shfl_down_sync(every_lane, thread, 5, width);
  mine[2] = __shfl_xor_sync(every_lane, thread, 6, width);
  mine[3] = __shfl_sync(every_lane, thread, 9, width);
  mine[4] = int(__ballot_sync(every_lane, lane % 3 == 0));
  if (lane < 16)
    mine[5] = __any_sync(0xFFFF, lane == 7) * 2 + __all_sync(0xFFFF, lane < 15);
  else
    mine[5] = __shfl_xor_sync(0xFFFF0000, lane, 1);
  mine[6] = __syncthreads_count(lane & 1);
  mine[7] = __syncthreads_or(thread == 40);
  mine[8] = __syncthreads_and(thread < 63);
}

void test_warp_operations() {
  int ballot = 0;
  for (int lane = 0; lane < 32; lane += 3) ballot |= int(1u << lane);
  for (int width : {32, 16, 8}) {
    int out[64 * 9];
    run(1, dim3(16, 4), 0, false, warp_operations, out, width);
    for (int thread = 0; thread < 64; ++thread) {
      const int lane = thread % 32, warp = thread - lane, segment = lane & (width - 1), base = lane - segment;
      const int* mine = out + thread * 9;
      expect("shfl_up", mine[0], segment >= 3 ? thread - 3 : thread);
      expect("shfl_down", mine[1], segment + 5 < width ? thread + 5 : thread);
      expect("shfl_xor", mine[2], warp + (lane ^ 6));
      expect("shfl", mine[3], warp + base + (9 & (width - 1)));
      expect("ballot", mine[4], ballot);
      expect("part of a warp", mine[5], lane < 16 ? 2 : lane ^ 1);
      expect("syncthreads_count", mine[6], 32);
      expect("syncthreads_or", mine[7], 1);
      expect("syncthreads_and", mine[8], 0);
    }
  }
}

__global__ void neighbours(float* out) {
  float* shared = static_cast<float*>(cudafiber::shared_memory());
  const unsigned i = threadIdx.x, n = blockDim.x;
  const bool poisoned = shared[i] != shared[i];
  __syncthreads();
  shared[i] = float(i);
  __syncthreads();
  out[blockIdx.x * n + i] = poisoned ? shared[(i + 1) % n] : -1;
}

void test_shared_memory_is_poisoned_and_exchanged() {
  float out[3 * 70];
  run(3, 70, 70 * sizeof(float), false, neighbours, out);
  for (int i = 0; i < 3 * 70; ++i) expect("neighbour", out[i], (i % 70 + 1) % 70);
}

__global__ void copy_asynchronously(const float4* from, float4* out) {
  float4* shared = static_cast<float4*>(cudafiber::shared_memory());
  __pipeline_memcpy_async(shared + threadIdx.x, from + threadIdx.x, 16);
  __pipeline_commit();
  const bool early = shared[threadIdx.x].x == from[threadIdx.x].x;
  __pipeline_wait_prior(0);
  out[threadIdx.x] = shared[threadIdx.x];
  if (early) out[threadIdx.x].x = -1;
}

void test_asynchronous_copies_arrive_at_the_wait() {
  float4 from[32], out[32];
  for (int i = 0; i < 32; ++i) from[i] = make_float4(float(i), 1, 2, float(3 * i));
  run(1, 32, sizeof from, false, copy_asynchronously, from, out);
  for (int i = 0; i < 32; ++i) {
    expect("cp.async", out[i].x, i);
    expect("cp.async", out[i].w, 3 * i);
  }
}

__global__ void sum_over_blocks(float* parts, float* total) {
  if (threadIdx.x == 0) parts[blockIdx.x] = float(blockIdx.x + 1);
  cooperative_groups::this_grid().sync();
  float sum = 0;
  for (unsigned i = 0; i < gridDim.x; ++i) sum += parts[i];
  total[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

void test_a_grid_barrier_orders_blocks() {
  float parts[5] = {}, total[5 * 33];
  run(5, 33, 0, true, sum_over_blocks, parts, total);
  for (float sum : total) expect("grid barrier", sum, 15);
}

__global__ void nothing() {}
__global__ void nothing_either() {}

cudaError_t refusal(dim3 grid, dim3 block, size_t shared, bool cooperative, void (*kernel)() = nothing) {
  cudaLaunchAttribute attribute;
  attribute.id = cudaLaunchAttributeCooperative;
  attribute.val.cooperative = cooperative;
  const cudaLaunchConfig_t config{grid, block, shared, nullptr, &attribute, 1};
  return cudaLaunchKernelEx(&config, kernel);
}

void test_a_launch_that_a_device_would_refuse_is_an_error() {
  expect("blocks along y", refusal(dim3(1, 65536), 1, 0, false), cudaErrorInvalidConfiguration);
  expect("blocks along z", refusal(dim3(1, 1, 65536), 1, 0, false), cudaErrorInvalidConfiguration);
  expect("blocks along x", refusal(dim3(65536), 1, 0, false), cudaSuccess);
  expect("no block", refusal(dim3(0), 1, 0, false), cudaErrorInvalidConfiguration);
  expect("threads", refusal(1, dim3(32, 33), 0, false), cudaErrorInvalidConfiguration);
  expect("threads along z", refusal(1, dim3(1, 1, 65), 0, false), cudaErrorInvalidConfiguration);
  int device, multiprocessors, resident;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, nothing, 256, 48000);
  expect("resident blocks", resident, 4);
  const unsigned most = unsigned(multiprocessors * resident);
  expect("a cooperative grid", refusal(most, 256, 48000, true), cudaSuccess);
  expect("a cooperative grid too large", refusal(most + 1, 256, 48000, true), cudaErrorCooperativeLaunchTooLarge);
  expect("any other grid", refusal(most + 1, 256, 48000, false), cudaSuccess);
}

void test_more_than_48_kib_of_shared_memory_must_be_asked_for() {
  const size_t more = 48 * 1024 + 16;
  expect("not asked for", refusal(1, 32, more, false), cudaErrorInvalidValue);
  expect("asked for", cudaFuncSetAttribute(nothing, cudaFuncAttributeMaxDynamicSharedMemorySize, int(more)), 0);
  expect("less than asked for", refusal(1, 32, more, false), cudaSuccess);
  expect("more than asked for", refusal(1, 32, more + 16, false), cudaErrorInvalidValue);
  expect("for another kernel", refusal(1, 32, more, false, nothing_either), cudaErrorInvalidValue);
  expect("more than there is", cudaFuncSetAttribute(nothing, cudaFuncAttributeMaxDynamicSharedMemorySize, 1 << 18),
         cudaErrorInvalidValue);
}

void test_16_bit_floats_round_to_nearest_even() {
  expect("bfloat16 tie to even", __bfloat162float(__float2bfloat16(1.00390625f)), 1);
  expect("bfloat16 tie to even", __bfloat162float(__float2bfloat16(1.01171875f)), 1.015625);
  expect("bfloat16 overflow", __bfloat162float(__float2bfloat16(3.4e38f)), INFINITY);
  expect("bfloat16 NaN", __float2bfloat16(NAN).bits, 0x7FFF);
  expect("half tie to even", __half2float(__float2half(1.00048828125f)), 1);
  expect("half overflow", __half2float(__float2half(65520.f)), INFINITY);
  expect("half subnormal", __half2float(__float2half(6e-8f)), 5.9604644775390625e-8);
}

}  // namespace

int main() {
  test_warp_operations();
  test_shared_memory_is_poisoned_and_exchanged();
  test_asynchronous_copies_arrive_at_the_wait();
  test_a_grid_barrier_orders_blocks();
  test_a_launch_that_a_device_would_refuse_is_an_error();
  test_more_than_48_kib_of_shared_memory_must_be_asked_for();
  test_16_bit_floats_round_to_nearest_even();
  return failures != 0;
}
