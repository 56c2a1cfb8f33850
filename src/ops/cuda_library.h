#pragma once

#include <c10/util/intrusive_ptr.h>
#include <torch/types.h>

#include <chrono>
#include <string>

#include "ops/device_graph.h"

namespace c10d {
class Backend;
class Store;
}  // namespace c10d

namespace zebra {

/// What the trainer calls of LibTorch's CUDA library by name. It stands in a library of its own,
/// libzebra_cuda.so (src/cuda), which brings LibTorch's with it and is loaded where there is a GPU
/// driver only: on every other machine LibTorch's would cost each command 0.15 s of a processor.
class CudaLibrary {
 public:
  virtual ~CudaLibrary() = default;

  /// CUDA graphs that share one pool of memory.
  virtual DeviceGraphs graphs(torch::Device device) const = 0;

  /// NCCL between `size` ranks that meet in the store, on streams of high priority.
  virtual c10::intrusive_ptr<c10d::Backend> nccl(const c10::intrusive_ptr<c10d::Store>& store,
                                                 int rank, int size,
                                                 std::chrono::milliseconds timeout,
                                                 torch::Device device) const = 0;

  /// "NVIDIA H100 80GB HBM3".
  virtual std::string device_name(torch::Device device) const = 0;
};

/// The library, which this program loaded before main() began: LibTorch asks once whether there is
/// CUDA, and remembers the answer. Throws RunError that says why where it is not loaded.
const CudaLibrary& cuda_library();

/// Why it is not loaded; empty where it is.
const std::string& cuda_library_fault();

}  // namespace zebra
