#pragma once

#include <torch/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <torch/csrc/distributed/c10d/Work.hpp>
#include <vector>

#include "base/error.h"
#include "config/config.h"

namespace c10d {
class Backend;
class Store;
}  // namespace c10d

namespace zebra {

class Job;

/// A collective that did not come to its end: a rank is gone, or the network.
class CollectiveError : public RunError {
 public:
  CollectiveError(const std::string& collective, const std::string& reason)
      : RunError(collective + ": " + reason), reason_(reason) {}

  const std::string& reason() const { return reason_; }

 private:
  std::string reason_;
};

/// Hears of the collectives that the host waits for ("all-gather of layers.3").
struct CollectiveListener {
  std::function<void(const std::string& name)> waiting;
  std::function<void()> done;
};

/// A collective under way. Owns the tensor that it reads and writes until it is done.
class PendingCollective {
 public:
  PendingCollective() = default;  ///< nothing under way

  bool is_under_way() const { return work_ != nullptr; }

  /// On the CPU returns when the result is there; on CUDA the current stream waits for it, the host
  /// does not. Does nothing where nothing is under way. Throws CollectiveError.
  void wait();

 private:
  friend class Communicator;
  PendingCollective(c10::intrusive_ptr<c10d::Work> work, torch::Tensor tensor, std::string name,
                    const CollectiveListener& listener);

  c10::intrusive_ptr<c10d::Work> work_;
  torch::Tensor tensor_;
  std::string name_;
  const CollectiveListener* listener_ = nullptr;
};

/// A group of ranks and its collectives, by one of LibTorch's process groups: NCCL runs on a stream
/// of its own, Gloo on threads of its own. All ranks of the group make the same calls in the same
/// order. A call returns at once; the tensor must not be touched before wait(). Sums are the same
/// bits on every rank and every time. `what` names the data in messages ("layers.3"). Must outlive
/// the collectives that it began.
class Communicator {
 public:
  /// A group of one: every collective is done at once.
  Communicator();
  Communicator(c10::intrusive_ptr<c10d::Backend> backend, CollectiveListener listener);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const { return rank_; }  ///< within the group
  int size() const { return size_; }

  /// The elements of a flat buffer that belong to this rank in reduce_scatter and all_gather: shard
  /// rank() of size() equal ones.
  torch::Tensor own_shard(const torch::Tensor& buffer) const;

  /// Every rank gets the sum of `buffer` (contiguous, any shape) over the ranks, in place.
  [[nodiscard]] PendingCollective all_reduce(const torch::Tensor& buffer, const std::string& what);

  /// own_shard(buffer) becomes the sum of that shard over the ranks; what the rest holds then is
  /// undefined. buffer [n], n a multiple of size().
  [[nodiscard]] PendingCollective reduce_scatter(const torch::Tensor& buffer,
                                                 const std::string& what);

  /// `buffer` [n] becomes the own shards of all ranks, one behind the other.
  [[nodiscard]] PendingCollective all_gather(const torch::Tensor& buffer, const std::string& what);

  /// Of `input` the first to[0] rows go to rank 0, the next to[1] to rank 1, …; from[r] rows of
  /// rank r come into `output`, in the order of the ranks. Both contiguous, their rows of one size.
  [[nodiscard]] PendingCollective all_to_all(const torch::Tensor& output,
                                             const torch::Tensor& input,
                                             const std::vector<std::int64_t>& to,
                                             const std::vector<std::int64_t>& from,
                                             const std::string& what);

  /// Every rank gets the `tensor` of rank `root`.
  [[nodiscard]] PendingCollective broadcast(const torch::Tensor& tensor, int root,
                                            const std::string& what);

  /// Returns, on the host, when every rank has come here.
  void barrier(const std::string& what);

 private:
  c10::intrusive_ptr<c10d::Backend> backend_;  // null for a group of one
  CollectiveListener listener_;
  int rank_ = 0, size_ = 1;
};

/// `store` is the group's own (a PrefixStore); `timeout` is a backstop: the watchdog gives up
/// before. `host` is the address of this rank by which the others reach it over Gloo; empty: what
/// the host's name resolves to.
struct GroupOptions {
  c10::intrusive_ptr<c10d::Store> store;
  int rank, size;
  std::chrono::milliseconds timeout;
  CollectiveListener listener;
  std::string host;
};

/// For tensors on `device`: NCCL connects ranks with GPUs (in builds with CUDA), Gloo those on
/// CPUs.
std::unique_ptr<Communicator> make_communicator(const GroupOptions& options, torch::Device device);

/// The groups that a rank belongs to. Ranks [k s, (k + 1) s) hold one copy of the sharded state
/// together: replica k.
struct ProcessGroups {
  Communicator* shards;    ///< of this replica: each rank holds another shard of the state
  Communicator* replicas;  ///< one rank of each replica: all hold the same shard
};

/// All ranks of a job, cut into replicas of neighbouring ranks, and into groups of neighbouring
/// ranks that share sequences. The job must outlive it.
class DeviceMesh {
 public:
  /// Throws InputError when the ranks cannot be cut so.
  DeviceMesh(Job& job, const ParallelSection& parallel, torch::Device device);

  Communicator& all() const { return *all_; }
  ProcessGroups groups() const { return {shards_.get(), replicas_.get()}; }
  /// The ranks that share sequences with this one: itself alone without parallel.context.
  Communicator& context() const { return *context_; }

 private:
  std::shared_ptr<Communicator> all_, shards_, replicas_, context_;
};

}  // namespace zebra
