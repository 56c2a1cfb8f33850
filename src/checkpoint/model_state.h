#pragma once

#include <string>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "config/config.h"
#include "data/tokenizer.h"
#include "distributed/sharded_optimizer.h"
#include "distributed/sharded_unit.h"
#include "model/zebra_model.h"

namespace zebra {

// Between the tensors of a checkpoint and those of a model and its optimizer in memory.

/// What this rank writes of a training state, by group: "weights" (the float32 masters), "exp_avg"
/// and "exp_avg_sq" of what AdamW updates, "momentum" of what Muon does. The replicas of a shard
/// write equal shares of it. The values are views: they change with the next step.
std::vector<std::pair<std::string, std::vector<CheckpointTensor>>> training_tensors(
    const std::vector<ShardedUnit>& units, const Communicator& replicas,
    const ShardedOptimizer& optimizer);

/// Fills masters, moments, momentum and weights of this rank's shards from a checkpoint that any
/// number of ranks wrote.
void load_training_tensors(Checkpoint& checkpoint, const std::vector<ShardedUnit>& units,
                           ShardedOptimizer& optimizer);

/// Fills the masters and weights of this rank's shards from the weights of any checkpoint, for
/// training that starts from a model: moments stay as they are.
void load_initial_weights(Checkpoint& checkpoint, const std::vector<ShardedUnit>& units,
                          ShardedOptimizer& optimizer);

/// Fills the weights of one unit of a model that is not trained, in whatever type it has.
void load_weights(Checkpoint& checkpoint, const ParameterUnit& unit);

/// A trained model ready for evaluation, generation or export.
struct LoadedModel {
  Config config;
  Tokenizer tokenizer;
  ZebraModel model;
  torch::Device device;
  std::int64_t step;
};

/// Loads RUN_OR_CHECKPOINT (see find_checkpoint) in the run's own precision, onto the device that
/// its run.device means here. Throws InputError when it cannot be found or read.
LoadedModel load_model(const std::string& run_or_checkpoint);

}  // namespace zebra
