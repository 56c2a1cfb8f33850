#include "distributed/backend_communicator.h"

namespace zebra {

BackendCommunicator::BackendCommunicator(c10::intrusive_ptr<c10d::Backend> backend,
                                         CollectiveListener listener)
    : Communicator(backend->getRank(), backend->getSize()),
      backend_(std::move(backend)),
      listener_(std::move(listener)) {}

PendingCollective BackendCommunicator::pending(c10::intrusive_ptr<c10d::Work> work,
                                               const torch::Tensor& tensor,
                                               std::string name) const {
  PendingCollective pending;
  pending.work_ = std::move(work);
  pending.tensors_ = {tensor};
  pending.name_ = std::move(name);
  pending.listener_ = &listener_;
  return pending;
}

PendingCollective BackendCommunicator::all_reduce(const torch::Tensor& buffer,
                                                  const std::string& what) {
  std::vector<torch::Tensor> tensors = {buffer};
  return pending(backend_->allreduce(tensors), buffer, "all-reduce of " + what);
}

PendingCollective BackendCommunicator::reduce_scatter(const torch::Tensor& buffer,
                                                      const std::string& what) {
  auto input = buffer, output = own_part(buffer);
  return pending(backend_->_reduce_scatter_base(output, input), buffer,
                 "reduce-scatter of " + what);
}

PendingCollective BackendCommunicator::all_gather(const torch::Tensor& buffer,
                                                  const std::string& what) {
  auto output = buffer, input = own_part(buffer);
  return pending(backend_->_allgather_base(output, input), buffer, "all-gather of " + what);
}

PendingCollective BackendCommunicator::broadcast(const torch::Tensor& tensor, int root,
                                                 const std::string& what) {
  std::vector<torch::Tensor> tensors = {tensor};
  c10d::BroadcastOptions options;
  options.rootRank = root;
  return pending(backend_->broadcast(tensors, options), tensor, "broadcast of " + what);
}

void BackendCommunicator::barrier(const std::string& what) {
  pending(backend_->barrier(), {}, "barrier: " + what).wait();
}

}  // namespace zebra
