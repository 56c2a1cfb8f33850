#include "checkpoint/training_tensors.h"

namespace zebra {
namespace {

struct Group {
  const char* name;
  const torch::Tensor& (AdamW::*values)(std::size_t) const;
};

constexpr Group kGroups[] = {{"weights", &AdamW::masters},
                             {"exp_avg", &AdamW::first_moments},
                             {"exp_avg_sq", &AdamW::second_moments}};

}  // namespace

std::vector<std::pair<std::string, std::vector<CheckpointTensor>>> training_tensors(
    const std::vector<FlatUnit>& units, const AdamW& optimizer) {
  std::vector<std::pair<std::string, std::vector<CheckpointTensor>>> groups;
  for (const auto& group : kGroups) {
    auto& [name, tensors] = groups.emplace_back();
    name = group.name;
    for (std::size_t i = 0; i < units.size(); ++i) {
      const auto& flat = (optimizer.*group.values)(i);
      for (const auto& [tensor, begin] : units[i].tensors()) {
        tensors.push_back({tensor, 0, flat.narrow(0, begin, tensor.numel())});
      }
    }
  }
  return groups;
}

void load_training_tensors(Checkpoint& checkpoint, const std::vector<FlatUnit>& units,
                           AdamW& optimizer) {
  for (const auto& [group, tensors] : training_tensors(units, optimizer)) {
    for (const auto& [tensor, begin, values] : tensors)
      checkpoint.read(group, tensor, begin, values);
  }
  optimizer.publish_masters();
}

void load_weights(Checkpoint& checkpoint, const ParameterUnit& unit) {
  for (const auto& parameter : unit.parameters) {
    const auto flat = parameter.tensor.detach().view({-1});
    std::int64_t begin = 0;
    for (const auto& part : parameter.parts) {
      checkpoint.read("weights", part, 0, flat.narrow(0, begin, part.numel()));
      begin += part.numel();
    }
  }
}

}  // namespace zebra
