#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <torch/csrc/distributed/c10d/Work.hpp>
#include <vector>

#include "distributed/collective_error.h"

namespace zebra {

/// Hears of the collectives that the host waits for ("all-gather of layers.3").
struct CollectiveListener {
  std::function<void(const std::string& name)> waiting;
  std::function<void()> done;
};

/// A collective under way. Owns the tensors that it reads and writes until it is done.
class PendingCollective {
 public:
  PendingCollective() = default;  ///< nothing under way

  bool is_under_way() const { return work_ != nullptr; }

  /// On the CPU returns when the result is there; on CUDA the current stream waits for it, the host
  /// does not. Does nothing where nothing is under way. Throws CollectiveError.
  void wait();

 private:
  friend class BackendCommunicator;
  c10::intrusive_ptr<c10d::Work> work_;
  std::vector<torch::Tensor> tensors_;
  std::string name_;
  const CollectiveListener* listener_ = nullptr;
};

/// A group of ranks and its collectives. All ranks of the group make the same calls in the same
/// order. A call returns at once; the tensor must not be touched before wait(). Sums are the same
/// bits on every rank and every time. `what` names the data in messages ("layers.3").
class Communicator {
 public:
  Communicator(int rank, int size) : rank_(rank), size_(size) {}
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const { return rank_; }  ///< within the group
  int size() const { return size_; }

  /// The elements of a flat buffer that belong to this rank in reduce_scatter and all_gather: part
  /// rank() of size() equal ones.
  torch::Tensor own_part(const torch::Tensor& buffer) const;

  /// Every rank gets the sum of `buffer` (contiguous, any shape) over the ranks, in place.
  [[nodiscard]] virtual PendingCollective all_reduce(const torch::Tensor& buffer,
                                                     const std::string& what) = 0;

  /// own_part(buffer) becomes the sum of that part over the ranks; what the rest holds then is
  /// undefined. buffer [n], n a multiple of size().
  [[nodiscard]] virtual PendingCollective reduce_scatter(const torch::Tensor& buffer,
                                                         const std::string& what) = 0;

  /// `buffer` [n] becomes the own parts of all ranks, one behind the other.
  [[nodiscard]] virtual PendingCollective all_gather(const torch::Tensor& buffer,
                                                     const std::string& what) = 0;

  /// Every rank gets the `tensor` of rank `root`.
  [[nodiscard]] virtual PendingCollective broadcast(const torch::Tensor& tensor, int root,
                                                    const std::string& what) = 0;

  /// Returns, on the host, when every rank has come here.
  virtual void barrier(const std::string& what) = 0;

 private:
  int rank_, size_;
};

/// A group of one: every collective is done at once.
std::unique_ptr<Communicator> make_single_rank();

}  // namespace zebra
