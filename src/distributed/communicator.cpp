#include "distributed/communicator.h"

#include "base/error.h"
#include "ops/part_scope.h"

namespace zebra {
namespace {

class SingleRank : public Communicator {
 public:
  SingleRank() : Communicator(0, 1) {}

  PendingCollective all_reduce(const torch::Tensor&, const std::string&) override { return {}; }
  PendingCollective reduce_scatter(const torch::Tensor&, const std::string&) override { return {}; }
  PendingCollective all_gather(const torch::Tensor&, const std::string&) override { return {}; }
  PendingCollective broadcast(const torch::Tensor&, int, const std::string&) override { return {}; }
  void barrier(const std::string&) override {}
};

}  // namespace

void PendingCollective::wait() {
  if (work_ == nullptr) return;
  const auto work = std::move(work_);
  if (listener_->waiting) listener_->waiting(name_);
  try {
    ZEBRA_PART("collectives");
    work->wait();
  } catch (const std::exception& error) {
    throw CollectiveError(name_, without_backtrace(error.what()));
  }
  if (listener_->done) listener_->done();
  tensors_.clear();
}

torch::Tensor Communicator::own_part(const torch::Tensor& buffer) const {
  TORCH_INTERNAL_ASSERT(buffer.dim() == 1 && buffer.numel() % size_ == 0, "a buffer of ",
                        buffer.sizes(), " has no equal parts for ", size_, " ranks");
  const auto part = buffer.numel() / size_;
  return buffer.narrow(0, rank_ * part, part);
}

std::unique_ptr<Communicator> make_single_rank() { return std::make_unique<SingleRank>(); }

}  // namespace zebra
