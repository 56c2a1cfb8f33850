#include "model/parameter.h"

#include <ATen/Parallel.h>

#include "base/random.h"

namespace zebra {
namespace {

constexpr std::int64_t kElementsPerTask = 1 << 14;

torch::Tensor normal_part(const NamedTensor& part, std::int64_t seed, double deviation) {
  auto values = torch::empty({part.numel()}, torch::kFloat32);
  float* data = values.mutable_data_ptr<float>();
  const auto stream = RandomStream::named(static_cast<std::uint64_t>(seed), part.name);
  at::parallel_for(0, part.numel(), kElementsPerTask, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      data[i] = static_cast<float>(deviation * stream.normal(static_cast<std::uint64_t>(i)));
    }
  });
  return values;
}

}  // namespace

std::int64_t NamedTensor::numel() const {
  std::int64_t product = 1;
  for (const auto size : shape) product *= size;
  return product;
}

void initialize_weights(const ParameterUnit& unit, std::int64_t seed) {
  const torch::NoGradGuard no_grad;
  for (const auto& parameter : unit.parameters) {
    auto flat = parameter.tensor.detach().view({-1});
    std::int64_t begin = 0;
    for (const auto& part : parameter.parts) {
      auto range = flat.narrow(0, begin, part.numel());
      if (parameter.initial_deviation == 0.0) {
        range.fill_(1.0);
      } else {
        range.copy_(normal_part(part, seed, parameter.initial_deviation));
      }
      begin += part.numel();
    }
  }
}

}  // namespace zebra
