// The part of the CUDA runtime that launchers call, with CUDA's own signatures. The device is a small imaginary one.
#pragma once

#include <string>
#include <tuple>

#include "cudafiber/launch.h"

enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorLaunchFailure = 719 };
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
  const std::tuple<Expected...> held(static_cast<Expected>(arguments)...);
  if (cudafiber_taker) {
    return std::apply(
        [&](const auto&... all) {
          const void* const parameters[] = {&all...};
          const size_t sizes[] = {sizeof(all)...};
          const bool done =
              cudafiber_taker(reinterpret_cast<const void*>(kernel), config, parameters, sizes, sizeof...(all));
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
  if (error == cudaSuccess) return "no error";
  return error == cudaErrorLaunchFailure ? cudafiber::last_error().c_str() : "invalid argument";
}

inline cudaError_t cudaGetLastError() { return cudaSuccess; }

template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel*, cudaFuncAttribute, int bytes) {
  return bytes <= int(cudafiber::most_shared_memory) ? cudaSuccess : cudaErrorInvalidValue;
}

template <class Kernel>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Kernel*, int threads, size_t shared_bytes) {
  const size_t per_block = shared_bytes + 1024;
  *blocks = int(std::min<size_t>(2048 / threads, (cudafiber::most_shared_memory + 1024) / per_block));
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
