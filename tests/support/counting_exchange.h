#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "ops/context_exchange.h"

namespace zebra::testing {

/// Counts the bytes that this rank sends to others: of a gather, what a ring sends.
class CountingExchange : public ContextExchange {
 public:
  explicit CountingExchange(ContextExchange& inner) : inner_(inner) {}

  ContextShare share() const override { return inner_.share(); }

  Arrival gather(const torch::Tensor& own, const std::string& what) override {
    sent_[what] += bytes_of(own) * (share().ranks - 1);
    return inner_.gather(own, what);
  }

  Arrival exchange(const torch::Tensor& own, const std::vector<std::int64_t>& to,
                   const std::vector<std::int64_t>& from, const std::string& what) override {
    std::int64_t rows = 0;
    for (std::size_t rank = 0; rank < to.size(); ++rank)
      if (static_cast<int>(rank) != share().rank) rows += to[rank];
    sent_[what] += bytes_of(own) / own.size(0) * rows;
    return inner_.exchange(own, to, from, what);
  }

  /// By what was sent.
  const std::map<std::string, std::int64_t>& sent() const { return sent_; }

 private:
  static std::int64_t bytes_of(const torch::Tensor& x) {
    return static_cast<std::int64_t>(x.nbytes());
  }

  ContextExchange& inner_;
  std::map<std::string, std::int64_t> sent_;
};

}  // namespace zebra::testing
