#pragma once

#include <string>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "distributed/flat_unit.h"
#include "optim/adamw.h"

namespace zebra {

/// All tensors of a training state, by group: "weights" (the float32 masters), "exp_avg" and
/// "exp_avg_sq". Range i of the optimizer is unit i. The values are views: they change with the
/// next step.
std::vector<std::pair<std::string, std::vector<CheckpointTensor>>> training_tensors(
    const std::vector<FlatUnit>& units, const AdamW& optimizer);

/// Fills masters, moments and weights from a checkpoint.
void load_training_tensors(Checkpoint& checkpoint, const std::vector<FlatUnit>& units,
                           AdamW& optimizer);

/// Fills the weights of one unit of a model that is not trained, in whatever type it has.
void load_weights(Checkpoint& checkpoint, const ParameterUnit& unit);

}  // namespace zebra
