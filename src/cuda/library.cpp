// libzebra_cuda.so: see ops/cuda_library.h.

#include <ATen/cuda/CUDAContextLight.h>

#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "cuda/graph.h"
#include "ops/cuda_library.h"

namespace zebra {
namespace {

class LoadedLibrary : public CudaLibrary {
 public:
  DeviceGraphs graphs(torch::Device device) const override { return cuda_graphs(device); }

  c10::intrusive_ptr<c10d::Backend> nccl(const c10::intrusive_ptr<c10d::Store>& store, int rank,
                                         int size, std::chrono::milliseconds timeout,
                                         torch::Device device) const override {
    // High priority: a gather for the next unit must not queue behind the kernels of this one.
    const auto options = c10d::ProcessGroupNCCL::Options::create(/*is_high_priority_stream=*/true);
    options->timeout = timeout;
    auto backend = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size, options);
    backend->setBoundDeviceId(device);
    return backend;
  }

  std::string device_name(torch::Device device) const override {
    return at::cuda::getDeviceProperties(device.index())->name;
  }
};

}  // namespace
}  // namespace zebra

extern "C" const zebra::CudaLibrary* zebra_cuda_library() {
  static const zebra::LoadedLibrary library;
  return &library;
}
