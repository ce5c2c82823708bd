// The part of the CUDA runtime that launchers call, with CUDA's own signatures. The device is a small imaginary one.
#pragma once

#include <map>
#include <string>
#include <tuple>

#include "cudafiber/launch.h"

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorNoKernelImageForDevice = 209,
  cudaErrorLaunchFailure = 719,
  cudaErrorCooperativeLaunchTooLarge = 720
};
using cudaStream_t = struct CUstream_st*;

enum cudaDeviceAttr {
  cudaDevAttrMultiProcessorCount = 16,
  cudaDevAttrComputeCapabilityMajor = 75,
  cudaDevAttrComputeCapabilityMinor = 76,
  cudaDevAttrMaxSharedMemoryPerMultiprocessor = 81,
  cudaDevAttrCooperativeLaunch = 95,
  cudaDevAttrMaxSharedMemoryPerBlockOptin = 97,
};

enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum cudaLaunchAttributeID { cudaLaunchAttributeCooperative = 2 };

union cudaLaunchAttributeValue {
  int cooperative;
};

struct cudaLaunchAttribute {
  cudaLaunchAttributeID id;
  cudaLaunchAttributeValue val;
};

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes;
  cudaStream_t stream;
  cudaLaunchAttribute* attrs;
  unsigned numAttrs;
};

namespace cudafiber {
inline std::string& last_error() {
  static std::string message;
  return message;
}
inline int multiprocessors() {
  const char* count = getenv("CUDAFIBER_MULTIPROCESSORS");
  return count ? atoi(count) : 4;
}

// Dynamic shared memory that a kernel was allowed beyond what every kernel gets.
constexpr size_t shared_memory_of_all = 48 * 1024;
inline std::map<const void*, size_t>& allowed_shared_memory() {
  static std::map<const void*, size_t> bytes;
  return bytes;
}

inline size_t resident_blocks(int threads, size_t shared_bytes) {
  return std::min<size_t>(2048 / threads, (most_shared_memory + 1024) / (shared_bytes + 1024));
}

// What CUDA says to a launch before it begins.
inline cudaError_t refusal(const void* kernel, const cudaLaunchConfig_t& config, bool cooperative) {
  const dim3 &grid = config.gridDim, &block = config.blockDim;
  const uint64_t blocks = uint64_t(grid.x) * grid.y * grid.z, threads = uint64_t(block.x) * block.y * block.z;
  if (blocks == 0 || grid.x > 0x7FFFFFFF || grid.y > 0xFFFF || grid.z > 0xFFFF) return cudaErrorInvalidConfiguration;
  if (threads == 0 || threads > 1024 || block.z > 64) return cudaErrorInvalidConfiguration;
  const auto allowed = allowed_shared_memory().find(kernel);
  const size_t most = allowed == allowed_shared_memory().end() ? 0 : allowed->second;
  if (config.dynamicSmemBytes > std::max(most, shared_memory_of_all)) return cudaErrorInvalidValue;
  if (cooperative && blocks > multiprocessors() * resident_blocks(int(threads), config.dynamicSmemBytes))
    return cudaErrorCooperativeLaunchTooLarge;
  return cudaSuccess;
}
}  // namespace cudafiber

// Where it is set, launches are handed over in place of being run: the kernel's address, the launch, and its parameters
// as the device gets them. It says whether that went well.
using CudafiberTaker = int (*)(const void* kernel, const cudaLaunchConfig_t* config, const void* const* parameters,
                               const size_t* sizes, size_t count);
extern "C" {
__attribute__((visibility("default"), used)) inline CudafiberTaker cudafiber_taker = nullptr;
}

template <class... Expected, class... Actual>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Expected...), Actual&&... arguments) {
  bool cooperative = false;
  for (unsigned i = 0; i < config->numAttrs; ++i)
    if (config->attrs[i].id == cudaLaunchAttributeCooperative) cooperative = config->attrs[i].val.cooperative;
  const void* const address = reinterpret_cast<const void*>(kernel);
  if (const cudaError_t error = cudafiber::refusal(address, *config, cooperative)) return error;
  const std::tuple<Expected...> held(static_cast<Expected>(arguments)...);
  if (cudafiber_taker) {
    return std::apply(
        [&](const auto&... all) {
          const void* const parameters[] = {&all...};
          const size_t sizes[] = {sizeof(all)...};
          const bool done = cudafiber_taker(address, config, parameters, sizes, sizeof...(all));
          return done ? cudaSuccess : cudaErrorLaunchFailure;
        },
        held);
  }
  try {
    cudafiber::launch(config->gridDim, config->blockDim, config->dynamicSmemBytes, cooperative,
                      [&] { std::apply(kernel, held); });
  } catch (const cudafiber::Error& error) {
    cudafiber::last_error() = error.what();
    return cudaErrorLaunchFailure;
  }
  return cudaSuccess;
}

inline const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorNoKernelImageForDevice:
      return "no kernel image is available for execution on the device";
    case cudaErrorCooperativeLaunchTooLarge:
      return "too many blocks in cooperative launch";
    case cudaErrorLaunchFailure:
      break;
  }
  return cudafiber::last_error().c_str();
}

inline cudaError_t cudaGetLastError() { return cudaSuccess; }

template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute, int bytes) {
  if (bytes < 0 || bytes > int(cudafiber::most_shared_memory)) return cudaErrorInvalidValue;
  cudafiber::allowed_shared_memory()[reinterpret_cast<const void*>(kernel)] = size_t(bytes);
  return cudaSuccess;
}

struct cudaFuncAttributes {
  int maxThreadsPerBlock;
};

// CUDAFIBER_NO_CODE stands for a build without code for the device.
template <class Kernel>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, Kernel*) {
  if (getenv("CUDAFIBER_NO_CODE")) return cudaErrorNoKernelImageForDevice;
  attributes->maxThreadsPerBlock = 1024;
  return cudaSuccess;
}

template <class Kernel>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Kernel*, int threads, size_t shared_bytes) {
  *blocks = int(cudafiber::resident_blocks(threads, shared_bytes));
  return cudaSuccess;
}

inline cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = cudafiber::multiprocessors();
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = 9;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = 0;
      break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *value = int(cudafiber::most_shared_memory) + 1024;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = int(cudafiber::most_shared_memory);
      break;
    case cudaDevAttrCooperativeLaunch:
      *value = 1;
      break;
  }
  return cudaSuccess;
}
