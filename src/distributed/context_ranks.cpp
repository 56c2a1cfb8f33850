#include "distributed/context_ranks.h"

#include <memory>
#include <numeric>

namespace zebra {
namespace {

// Whoever waits for it holds the result, and what it is made of.
ContextExchange::Arrival when_done(PendingCollective pending, torch::Tensor result,
                                   torch::Tensor source = {}) {
  const auto shared = std::make_shared<PendingCollective>(std::move(pending));
  return [shared, result = std::move(result), source = std::move(source)] {
    shared->wait();
    return result;
  };
}

}  // namespace

ContextExchange::Arrival ContextRanks::gather(const torch::Tensor& own, const std::string& what) {
  auto sizes = own.sizes().vec();
  sizes.insert(sizes.begin(), group_.size());
  const auto all = torch::empty(sizes, own.options());
  all[group_.rank()].copy_(own);
  return when_done(group_.all_gather(all.view({-1}), what), all);
}

ContextExchange::Arrival ContextRanks::exchange(const torch::Tensor& own,
                                                const std::vector<std::int64_t>& to,
                                                const std::vector<std::int64_t>& from,
                                                const std::string& what) {
  auto sizes = own.sizes().vec();
  sizes.front() = std::accumulate(from.begin(), from.end(), std::int64_t{0});
  const auto arriving = torch::empty(sizes, own.options());
  return when_done(group_.all_to_all(arriving, own, to, from, what), arriving, own);
}

}  // namespace zebra
