#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

// The host's half of device.h for nvcc: launches, and what can go wrong with them.

namespace zebra::kernels::device {

struct Grid {
  int x = 1, y = 1, z = 1;
};
using Stream = cudaStream_t;

inline void check_cuda(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // or the next check would find it again, and blame another call
  throw std::runtime_error(std::string("a CUDA kernel: ") + what + ": " +
                           cudaGetErrorString(status));
}

inline int current_device() {
  int device = 0;
  check_cuda(cudaGetDevice(&device), "no CUDA device");
  return device;
}

/// Of the current device: 80 is 8.0.
inline int compute_capability() {
  const int device = current_device();
  int major = 0, minor = 0;
  check_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
             "no answer");
  check_cuda(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device),
             "no answer");
  return 10 * major + minor;
}

/// More shared memory than this a kernel gets only where it was asked for, on each device.
inline constexpr int kSharedBytesOfAnyKernel = 48 << 10;

/// Asks for `shared_bytes` for the kernel on the current device, unless it has them.
inline void allow_shared_memory(const void* kernel, int shared_bytes) {
  if (shared_bytes <= kSharedBytesOfAnyKernel) return;
  static std::mutex mutex;
  static std::map<std::pair<const void*, int>, int> allowed;
  const std::lock_guard lock(mutex);
  int& bytes = allowed[{kernel, current_device()}];
  if (bytes >= shared_bytes) return;
  check_cuda(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes),
      "this GPU has too little shared memory for the kernel");
  bytes = shared_bytes;
}

template <class Parameters>
void launch(void (*kernel)(Parameters), Grid grid, int threads, int shared_bytes,
            Parameters parameters, Stream stream) {
  const void* function = reinterpret_cast<const void*>(kernel);
  allow_shared_memory(function, shared_bytes);
  void* arguments[] = {&parameters};
  check_cuda(cudaLaunchKernel(function, dim3(grid.x, grid.y, grid.z), dim3(threads), arguments,
                              static_cast<std::size_t>(shared_bytes), stream),
             "the launch failed");
}

}  // namespace zebra::kernels::device
