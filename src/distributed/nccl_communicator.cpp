#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "distributed/backend_communicator.h"

namespace zebra {

std::unique_ptr<Communicator> make_nccl_communicator(const GroupOptions& options,
                                                     torch::Device device) {
  // High priority: a gather for the next unit must not queue behind the kernels of this one.
  auto nccl = c10d::ProcessGroupNCCL::Options::create(/*is_high_priority_stream=*/true);
  nccl->timeout = options.timeout;
  auto backend =
      c10::make_intrusive<c10d::ProcessGroupNCCL>(options.store, options.rank, options.size, nccl);
  backend->setBoundDeviceId(device);
  return std::make_unique<BackendCommunicator>(std::move(backend), options.listener);
}

}  // namespace zebra
