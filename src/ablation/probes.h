#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "ablation/sweep.h"
#include "ablation/sweep_folder.h"
#include "data/probe_dataset.h"

// The probes of a sweep: the datasets that arms are trained on, one for each sequence length, below
// DIR/data; and what recall is asked of them, the same of all arms but for the limit on text.

namespace zebra {

/// By where they lie; none where the sweep trains on no probes.
std::map<std::filesystem::path, ProbeDatasetOptions> training_probes(const Sweep& sweep);

/// Adds to `problems` a dataset that a former start wrote for other probes, with what to write to
/// have those.
void check_training_probes(const ProbeDatasetOptions& options, Problems& problems);

/// Writes the dataset, and beside it what decides its content, unless it is there.
void write_training_probes(const ProbeDatasetOptions& options);

/// Sets the loss_weight of the last source of data.train, the training probes, so that it gives
/// `share` (in (0, 1)) of the loss weights: what the expected targets of the sources come to (see
/// TrainingData::shares). The same data give the same weight. Throws InputError when a dataset
/// cannot be used, or the weight would be out of bounds.
void set_probe_loss_share(Config& config, double share);

/// What the arm's files have to hold before it is finished.
ArmGoal goal_of(const Sweep& sweep, const Arm& arm);

/// The command that asks a trained arm and writes ArmPaths::recall(). `program` is the zebra
/// command.
std::vector<std::string> recall_command(const Sweep& sweep, const Arm& arm,
                                        const std::filesystem::path& program);

}  // namespace zebra
