#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "distributed/backend_communicator.h"

namespace zebra {
namespace {

class GlooCommunicator : public BackendCommunicator {
 public:
  using BackendCommunicator::BackendCommunicator;

  // LibTorch's reduce-scatter over Gloo is an all-reduce of a copy. This one needs no copy.
  PendingCollective reduce_scatter(const torch::Tensor& buffer, const std::string& what) override {
    std::vector<torch::Tensor> tensors = {buffer};
    return pending(backend_->allreduce(tensors), buffer, "reduce-scatter of " + what);
  }
};

}  // namespace

std::unique_ptr<Communicator> make_gloo_communicator(const GroupOptions& options,
                                                     const std::string& host) {
  auto gloo = c10d::ProcessGroupGloo::Options::create_default(options.timeout);
  if (!host.empty()) gloo->devices = {c10d::ProcessGroupGloo::createDeviceForHostname(host)};
  return std::make_unique<GlooCommunicator>(
      c10::make_intrusive<c10d::ProcessGroupGloo>(options.store, options.rank, options.size, gloo),
      options.listener);
}

}  // namespace zebra
