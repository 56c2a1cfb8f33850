#pragma once

#include "distributed/communicator.h"
#include "ops/context_exchange.h"

namespace zebra {

/// The exchange of keys and values over a group of ranks that share sequences (parallel.context).
class ContextRanks : public ContextExchange {
 public:
  /// `group` outlives this object.
  explicit ContextRanks(Communicator& group) : group_(group) {}

  ContextShare share() const override { return {group_.rank(), group_.size()}; }
  Arrival gather(const torch::Tensor& own, const std::string& what) override;
  Arrival exchange(const torch::Tensor& own, const std::vector<std::int64_t>& to,
                   const std::vector<std::int64_t>& from, const std::string& what) override;

 private:
  Communicator& group_;
};

}  // namespace zebra
