#pragma once

#include <filesystem>
#include <map>

#include "ablation/sweep.h"
#include "data/probe_dataset.h"

// The datasets of probes that arms are trained on: one for each sequence length, below DIR/data.

namespace zebra {

/// By where they lie; none where the sweep trains on no probes.
std::map<std::filesystem::path, ProbeDatasetOptions> training_probes(const Sweep& sweep);

/// Adds to `problems` a dataset that a former start wrote for other probes, with what to write to
/// have those.
void check_training_probes(const ProbeDatasetOptions& options, Problems& problems);

/// Writes the dataset, and beside it what decides its content, unless it is there.
void write_training_probes(const ProbeDatasetOptions& options);

}  // namespace zebra
