#include "checkpoint/model_state.h"

#include <algorithm>
#include <string_view>

#include "checkpoint/folder.h"
#include "model/placement.h"
#include "ops/tensor_memory.h"

namespace zebra {
namespace {

constexpr const char* kWeights = "weights";

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

// The pieces of tensors that lie in `range` and have this state.
void add_tensors(const ShardedUnit& unit, const FlatRange& range, const OptimizerState& state,
                 std::vector<CheckpointTensor>& tensors) {
  const auto first = std::max(range.begin, state.begin),
             last = std::min(range.end, state.begin + state.values.numel());
  for (const auto& [tensor, deviation, begin] : unit.layout().tensors()) {
    const auto from = std::max(begin, first), to = std::min(begin + tensor.numel(), last);
    if (from >= to) continue;
    tensors.push_back(
        {tensor, from - begin, state.values.narrow(0, from - state.begin, to - from)});
  }
}

void load(Checkpoint& checkpoint, const std::vector<ShardedUnit>& units,
          const OptimizerState& state) {
  const auto& unit = units[state.unit];
  std::vector<CheckpointTensor> tensors;
  add_tensors(unit, shard_of(unit), state, tensors);
  for (const auto& [tensor, begin, values] : tensors)
    checkpoint.read(state.group, tensor, begin, values);
}

}  // namespace

std::vector<std::pair<std::string, std::vector<CheckpointTensor>>> training_tensors(
    const std::vector<ShardedUnit>& units, const Communicator& replicas,
    const ShardedOptimizer& optimizer) {
  std::vector<std::pair<std::string, std::vector<CheckpointTensor>>> groups;
  for (const auto& state : optimizer.state()) {
    if (groups.empty() || groups.back().first != state.group)
      groups.emplace_back().first = state.group;
    const auto& unit = units[state.unit];
    add_tensors(unit, share_of(shard_of(unit), replicas), state, groups.back().second);
  }
  return groups;
}

void load_training_tensors(Checkpoint& checkpoint, const std::vector<ShardedUnit>& units,
                           ShardedOptimizer& optimizer) {
  for (const auto& state : optimizer.state()) load(checkpoint, units, state);
  optimizer.publish_masters();
}

void load_initial_weights(Checkpoint& checkpoint, const std::vector<ShardedUnit>& units,
                          ShardedOptimizer& optimizer) {
  for (const auto& state : optimizer.state())
    if (std::string_view(state.group) == kWeights) load(checkpoint, units, state);
  optimizer.publish_masters();
}

void load_weights(Checkpoint& checkpoint, const ParameterUnit& unit) {
  for (const auto& parameter : unit.parameters) {
    const auto flat = parameter.tensor.detach().view({-1});
    std::int64_t begin = 0;
    for (const auto& part : parameter.spec.parts) {
      checkpoint.read(kWeights, part, 0, flat.narrow(0, begin, part.numel()));
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
