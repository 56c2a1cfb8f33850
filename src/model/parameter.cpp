#include "model/parameter.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "base/random.h"

namespace zebra {
namespace {

constexpr std::int64_t kElementsPerTask = 1 << 14;

torch::Tensor normal_values(const RandomStream& stream, InitialWeights initial, std::int64_t first,
                            std::int64_t count) {
  auto values = torch::empty({count}, torch::kFloat32);
  float* data = values.mutable_data_ptr<float>();
  at::parallel_for(0, count, kElementsPerTask, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      data[i] = static_cast<float>(
          initial.mean + initial.deviation * stream.normal(static_cast<std::uint64_t>(first + i)));
    }
  });
  return values;
}

}  // namespace

UnitSpec ParameterUnit::spec() const {
  UnitSpec unit = {name, {}};
  for (const auto& parameter : parameters) unit.parameters.push_back(parameter.spec);
  return unit;
}

torch::Tensor register_listed(torch::nn::Module& module, const std::string& path,
                              const std::vector<ParameterSpec>& list, ParameterMemory memory) {
  const auto spec = std::ranges::find(list, path, &ParameterSpec::path);
  if (spec == list.end()) return {};
  auto tensor = memory == ParameterMemory::allocated ? torch::empty(spec->shape())
                                                     : torch::empty({1}).expand(spec->shape());
  return module.register_parameter(path.substr(path.rfind('.') + 1), std::move(tensor));
}

ParameterUnit bind_parameters(const UnitSpec& unit, const torch::nn::Module& module) {
  const auto named = module.named_parameters();
  ParameterUnit bound = {unit.name, {}};
  for (const auto& spec : unit.parameters) bound.parameters.push_back({spec, named[spec.path]});
  return bound;
}

void fill_initial_weights(const NamedTensor& part, InitialWeights initial, std::int64_t seed,
                          std::int64_t begin, const torch::Tensor& out) {
  const torch::NoGradGuard no_grad;
  if (initial.deviation == 0.0) {
    out.fill_(initial.mean);
    return;
  }
  // A piece at a time: the float32 values of a large shard would not fit beside it.
  constexpr std::int64_t kPiece = std::int64_t{1} << 22;
  const auto stream = RandomStream::named(static_cast<std::uint64_t>(seed), part.name);
  for (std::int64_t done = 0; done < out.numel(); done += kPiece) {
    const auto count = std::min(kPiece, out.numel() - done);
    out.narrow(0, done, count).copy_(normal_values(stream, initial, begin + done, count));
  }
}

void initialize_weights(const ParameterUnit& unit, std::int64_t seed) {
  const torch::NoGradGuard no_grad;
  for (const auto& parameter : unit.parameters) {
    auto flat = parameter.tensor.detach().view({-1});
    std::int64_t begin = 0;
    for (const auto& part : parameter.spec.parts) {
      fill_initial_weights(part, parameter.spec.initial, seed, 0,
                           flat.narrow(0, begin, part.numel()));
      begin += part.numel();
    }
  }
}

}  // namespace zebra
