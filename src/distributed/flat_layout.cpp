#include "distributed/flat_layout.h"

#include <algorithm>

namespace zebra {

FlatLayout::FlatLayout(const ParameterUnit& unit, int ranks) : name_(unit.name) {
  const auto offsets = flat_offsets(unit.spec(), ranks);
  for (std::size_t i = 0; i < offsets.order.size(); ++i) {
    const auto& parameter = unit.parameters[offsets.order[i]];
    std::int64_t begin = offsets.begins[i];
    places_.push_back({parameter.tensor, begin});
    for (const auto& part : parameter.spec.parts) {
      tensors_.push_back({part, parameter.spec.initial, begin});
      begin += part.numel();
    }
  }
  size_ = offsets.size;
  decayed_size_ = offsets.decayed_size;
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
    const auto shape = parameter.sizes().vec();
    const auto view_of = [&, begin = begin, count = parameter.numel()](const torch::Tensor& flat) {
      return flat.narrow(0, begin, count).view(shape);
    };
    parameter.set_data(view_of(weights));
    parameter.mutable_grad() = view_of(gradients);
  }
}

}  // namespace zebra
