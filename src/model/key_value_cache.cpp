#include "model/key_value_cache.h"

#include <algorithm>

namespace zebra {

void KeyValueCache::append(const torch::Tensor& k, const torch::Tensor& v) {
  const torch::NoGradGuard no_grad;
  if (!keys_.defined()) {
    const std::vector<std::int64_t> shape = {k.size(0), capacity_, k.size(2), k.size(3)};
    keys_ = torch::empty(shape, k.options());
    values_ = torch::empty(shape, v.options());
  }
  const auto count = std::min(k.size(1), capacity_);
  auto source = k.size(1) - count;
  auto slot = (tokens_seen_ + source) % capacity_;
  for (auto left = count; left > 0;) {
    const auto run = std::min(left, capacity_ - slot);
    keys_.narrow(1, slot, run).copy_(k.narrow(1, source, run));
    values_.narrow(1, slot, run).copy_(v.narrow(1, source, run));
    source += run;
    left -= run;
    slot = 0;
  }
  tokens_seen_ += k.size(1);
}

std::int64_t KeyValueCache::bytes() const {
  return keys_.defined() ? static_cast<std::int64_t>(keys_.nbytes() + values_.nbytes()) : 0;
}

}  // namespace zebra
