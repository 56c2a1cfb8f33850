#pragma once

#include <filesystem>

#include "config/config.h"

namespace zebra {

/// Appends the dataset at `path` to data.train so that it gives `share` (in (0, 1)) of the training
/// samples; the other sources share the rest as they did. Throws InputError when several of them
/// have no weight: their sizes would decide, and those are not in a run file.
void add_training_probes(DataSection& data, const std::filesystem::path& path, double share);

}  // namespace zebra
