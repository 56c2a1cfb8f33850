#pragma once

// What the checks of this folder share. No test framework: a machine with a GPU may have nothing
// but a driver.

#include <cuda_runtime_api.h>

#include <cstdio>
#include <stdexcept>
#include <string>

namespace zebra::kernels::testing {

inline void check_cuda(cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorString(status));
}

/// Throws std::runtime_error where there is none.
inline void require_gpu() {
  int gpus = 0;
  const auto status = cudaGetDeviceCount(&gpus);
  if (status != cudaSuccess || gpus == 0)
    throw std::runtime_error(std::string("there is no GPU: ") + cudaGetErrorString(status));
}

/// Host memory that a GPU reads and writes too: the harness fills and compares it as it does on the
/// CPU.
struct MappedMemory {
  static void* allocate(std::size_t bytes) {
    void* memory = nullptr;
    check_cuda(cudaHostAlloc(&memory, bytes, cudaHostAllocMapped));
    return memory;
  }
  static void free(void* memory) { cudaFreeHost(memory); }
};

/// Counts checks, prints those that fail.
class Report {
 public:
  /// `errors` is empty where all was right.
  void add(const std::string& errors) {
    ++checks_;
    if (errors.empty()) return;
    ++failures_;
    std::printf("FAILED %s\n", errors.c_str());
  }
  /// The program's exit status.
  int finish() const {
    std::printf("%d checks, %d failures\n", checks_, failures_);
    return failures_ == 0 && checks_ > 0 ? 0 : 1;
  }

 private:
  int checks_ = 0, failures_ = 0;
};

/// The exit status of `run`; 1, with a message, where it throws.
template <class Run>
int exit_status_of(const Run& run) {
  try {
    require_gpu();
    return run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

}  // namespace zebra::kernels::testing
