#include "distributed/flat_unit.h"

#include <algorithm>

namespace zebra {
namespace {

constexpr std::int64_t kAlignment =
    64;  // elements: 128 bytes of bf16, a whole vector register and cache line

std::int64_t aligned(std::int64_t elements) {
  return (elements + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

FlatUnit::FlatUnit(const ParameterUnit& unit, torch::ScalarType weight_type, torch::Device device)
    : name_(unit.name) {
  const torch::NoGradGuard no_grad;
  auto ordered = unit.parameters;
  std::stable_partition(ordered.begin(), ordered.end(),
                        [](const Parameter& parameter) { return parameter.decayed(); });

  std::vector<std::int64_t> begins;
  std::int64_t size = 0;
  for (const auto& parameter : ordered) {
    begins.push_back(size);
    std::int64_t begin = size;
    for (const auto& part : parameter.parts) {
      tensors_.push_back({part, begin});
      begin += part.numel();
    }
    TORCH_INTERNAL_ASSERT(begin - size == parameter.tensor.numel(),
                          "the parts do not fill a parameter of unit ", name_);
    size = aligned(begin);
    if (parameter.decayed()) decayed_size_ = size;
  }

  weights_ = torch::zeros({size}, torch::TensorOptions(device).dtype(weight_type));
  gradients_ = torch::zeros({size}, torch::TensorOptions(device).dtype(torch::kFloat32));
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    auto& parameter = ordered[i].tensor;
    const auto shape = parameter.sizes().vec();
    const auto view_of = [&](const torch::Tensor& flat) {
      return flat.narrow(0, begins[i], parameter.numel()).view(shape);
    };
    view_of(weights_).copy_(parameter);
    parameter.set_data(view_of(weights_));
    parameter.mutable_grad() = view_of(gradients_);
  }
}

}  // namespace zebra
