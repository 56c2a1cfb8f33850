#include "cuda/graph.h"

#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>

namespace zebra {
namespace {

class CudaGraph : public DeviceGraph {
 public:
  CudaGraph(at::cuda::MempoolId_t pool, c10::cuda::CUDAStream stream)
      : pool_(pool), stream_(stream) {}

  void record(const std::function<void()>& work) override {
    // What the passes before took would stay beside what the graph takes.
    c10::cuda::CUDACachingAllocator::emptyCache();
    at::cuda::CUDAEvent before;
    before.record(c10::cuda::getCurrentCUDAStream(stream_.device_index()));
    before.block(stream_);
    const c10::cuda::CUDAStreamGuard guard(stream_);  // the default stream cannot be captured
    // Other threads may go on: one that makes batches page-locks memory, NCCL's asks for events.
    graph_.capture_begin(pool_, cudaStreamCaptureModeThreadLocal);
    try {
      work();
    } catch (...) {
      end_failed_capture();
      throw;
    }
    graph_.capture_end();
  }

  void replay() override { graph_.replay(); }

 private:
  // The error that broke it is the one to tell of.
  void end_failed_capture() {
    try {
      graph_.capture_end();
    } catch (const c10::Error&) {
    }
  }

  at::cuda::MempoolId_t pool_;
  c10::cuda::CUDAStream stream_;
  at::cuda::CUDAGraph graph_;
};

}  // namespace

DeviceGraphs cuda_graphs(torch::Device device) {
  const auto pool = at::cuda::graph_pool_handle();
  const auto stream = c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index());
  return [pool, stream] { return std::make_unique<CudaGraph>(pool, stream); };
}

}  // namespace zebra
