#include "checkpoint/model_state.h"

#include <algorithm>

#include "checkpoint/folder.h"
#include "model/placement.h"
#include "ops/tensor_memory.h"

namespace zebra {
namespace {

struct Group {
  const char* name;
  const torch::Tensor& (AdamW::*values)(std::size_t) const;
};

constexpr Group kWeights = {"weights", &AdamW::masters};
constexpr Group kGroups[] = {
    kWeights, {"exp_avg", &AdamW::first_moments}, {"exp_avg_sq", &AdamW::second_moments}};

/// Elements [begin, end) of a unit's flat buffer.
struct FlatRange {
  std::int64_t begin, end;
};

FlatRange shard_of(const ShardedUnit& unit) {
  return {unit.shard_begin(), unit.shard_begin() + unit.weight_shard().numel()};
}

FlatRange share_of(const FlatRange& shard, const Communicator& replicas) {
  const auto size = shard.end - shard.begin;
  return {shard.begin + size * replicas.rank() / replicas.size(),
          shard.begin + size * (replicas.rank() + 1) / replicas.size()};
}

// The pieces of tensors that lie in `range`; `flat` holds the unit's shard.
void add_tensors(const ShardedUnit& unit, const FlatRange& range, const torch::Tensor& flat,
                 std::vector<CheckpointTensor>& tensors) {
  for (const auto& [tensor, deviation, begin] : unit.layout().tensors()) {
    const auto from = std::max(begin, range.begin),
               to = std::min(begin + tensor.numel(), range.end);
    if (from >= to) continue;
    tensors.push_back({tensor, from - begin, flat.narrow(0, from - unit.shard_begin(), to - from)});
  }
}

void load_group(Checkpoint& checkpoint, const Group& group, const std::vector<ShardedUnit>& units,
                const AdamW& optimizer) {
  std::vector<CheckpointTensor> tensors;
  for (std::size_t i = 0; i < units.size(); ++i)
    add_tensors(units[i], shard_of(units[i]), (optimizer.*group.values)(i), tensors);
  for (const auto& [tensor, begin, values] : tensors)
    checkpoint.read(group.name, tensor, begin, values);
}

}  // namespace

std::vector<std::pair<std::string, std::vector<CheckpointTensor>>> training_tensors(
    const std::vector<ShardedUnit>& units, const Communicator& replicas, const AdamW& optimizer) {
  std::vector<std::pair<std::string, std::vector<CheckpointTensor>>> groups;
  for (const auto& group : kGroups) {
    auto& [name, tensors] = groups.emplace_back();
    name = group.name;
    for (std::size_t i = 0; i < units.size(); ++i) {
      add_tensors(units[i], share_of(shard_of(units[i]), replicas), (optimizer.*group.values)(i),
                  tensors);
    }
  }
  return groups;
}

void load_training_tensors(Checkpoint& checkpoint, const std::vector<ShardedUnit>& units,
                           AdamW& optimizer) {
  for (const auto& group : kGroups) load_group(checkpoint, group, units, optimizer);
  optimizer.publish_masters();
}

void load_initial_weights(Checkpoint& checkpoint, const std::vector<ShardedUnit>& units,
                          AdamW& optimizer) {
  load_group(checkpoint, kWeights, units, optimizer);
  optimizer.publish_masters();
}

void load_weights(Checkpoint& checkpoint, const ParameterUnit& unit) {
  for (const auto& parameter : unit.parameters) {
    const auto flat = parameter.tensor.detach().view({-1});
    std::int64_t begin = 0;
    for (const auto& part : parameter.spec.parts) {
      checkpoint.read("weights", part, 0, flat.narrow(0, begin, part.numel()));
      begin += part.numel();
    }
  }
}

LoadedModel load_model(const std::string& run_or_checkpoint) {
  Checkpoint checkpoint(find_checkpoint(run_or_checkpoint));
  const Config config = checkpoint.config();
  const auto device = resolve_device(config.run.device);
  if (device.is_cpu()) keep_tensor_memory();
  ZebraModel model(config.model);
  model->to(device, weight_type(config.train.precision));
  for (const auto& unit : model->units()) load_weights(checkpoint, unit);
  for (auto& parameter : model->parameters()) parameter.set_requires_grad(false);
  return {config, Tokenizer(config.data.tokenizer), model, device, checkpoint.step()};
}

}  // namespace zebra
