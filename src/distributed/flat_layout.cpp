#include "distributed/flat_layout.h"

#include <algorithm>

namespace zebra {
namespace {

constexpr std::int64_t kAlignment =
    64;  // elements: 128 bytes of bf16, a whole vector register and cache line

std::int64_t aligned(std::int64_t elements, std::int64_t alignment) {
  return (elements + alignment - 1) / alignment * alignment;
}

}  // namespace

FlatLayout::FlatLayout(const ParameterUnit& unit, int ranks) : name_(unit.name) {
  auto ordered = unit.parameters;
  std::stable_partition(ordered.begin(), ordered.end(),
                        [](const Parameter& parameter) { return parameter.decayed(); });
  for (const auto& parameter : ordered) {
    places_.push_back({parameter, size_});
    std::int64_t begin = size_;
    for (const auto& part : parameter.parts) {
      tensors_.push_back({part, parameter.initial, begin});
      begin += part.numel();
    }
    TORCH_INTERNAL_ASSERT(begin - size_ == parameter.tensor.numel(),
                          "the parts do not fill a parameter of unit ", name_);
    size_ = aligned(begin, kAlignment);
    if (parameter.decayed()) decayed_size_ = size_;
  }
  size_ = aligned(size_, kAlignment * ranks);
}

void FlatLayout::fill_initial_weights(std::int64_t seed, std::int64_t begin,
                                      const torch::Tensor& out) const {
  const std::int64_t end = begin + out.numel();
  out.zero_();
  for (const auto& [tensor, initial, tensor_begin] : tensors_) {
    const auto from = std::max(begin, tensor_begin),
               to = std::min(end, tensor_begin + tensor.numel());
    if (from >= to) continue;
    zebra::fill_initial_weights(tensor, initial, seed, from - tensor_begin,
                                out.narrow(0, from - begin, to - from));
  }
}

void FlatLayout::adopt(const torch::Tensor& weights, const torch::Tensor& gradients) {
  for (auto& [parameter, begin] : places_) {
    const auto shape = parameter.tensor.sizes().vec();
    const auto view_of = [&, begin = begin,
                          count = parameter.tensor.numel()](const torch::Tensor& flat) {
      return flat.narrow(0, begin, count).view(shape);
    };
    parameter.tensor.set_data(view_of(weights));
    parameter.tensor.mutable_grad() = view_of(gradients);
  }
}

}  // namespace zebra
