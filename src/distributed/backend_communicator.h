#pragma once

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "distributed/communicator.h"

namespace zebra {

/// A communicator over one of LibTorch's process groups. NCCL runs on a stream of its own, Gloo on
/// threads of its own. Must outlive the collectives that it began.
class BackendCommunicator : public Communicator {
 public:
  BackendCommunicator(c10::intrusive_ptr<c10d::Backend> backend, CollectiveListener listener);

  PendingCollective all_reduce(const torch::Tensor& buffer, const std::string& what) override;
  PendingCollective reduce_scatter(const torch::Tensor& buffer, const std::string& what) override;
  PendingCollective all_gather(const torch::Tensor& buffer, const std::string& what) override;
  PendingCollective broadcast(const torch::Tensor& tensor, int root,
                              const std::string& what) override;
  void barrier(const std::string& what) override;

 protected:
  PendingCollective pending(c10::intrusive_ptr<c10d::Work> work, const torch::Tensor& tensor,
                            std::string name) const;

  c10::intrusive_ptr<c10d::Backend> backend_;

 private:
  CollectiveListener listener_;
};

/// `store` is the group's own (a PrefixStore); `timeout` is a backstop: the watchdog gives up
/// before.
struct GroupOptions {
  c10::intrusive_ptr<c10d::Store> store;
  int rank, size;
  std::chrono::milliseconds timeout;
  CollectiveListener listener;
};

/// For tensors on the CPU. `host` is the address of this rank by which the others reach it; empty:
/// what the host's name resolves to.
std::unique_ptr<Communicator> make_gloo_communicator(const GroupOptions& options,
                                                     const std::string& host);

/// For tensors on the CUDA `device`. Only in builds with CUDA.
std::unique_ptr<Communicator> make_nccl_communicator(const GroupOptions& options,
                                                     torch::Device device);

}  // namespace zebra
