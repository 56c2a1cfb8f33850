#pragma once

#include <filesystem>

#include "ablation/arms.h"

namespace zebra {

/// Writes a batch script for Slurm whose array has a job for each arm: sbatch SCRIPT. `sweep` is
/// the sweep file and `program` the zebra command; both become absolute. Throws RunError when it
/// cannot be written.
void write_slurm_array(const Ablation& ablation, const std::filesystem::path& sweep,
                       const std::filesystem::path& program, const std::filesystem::path& script);

}  // namespace zebra
