#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace zebra {

/// The mean of the weights of several checkpoints: a model that is often better than each of them
/// (Izmailov et al., arXiv 1803.05407; of the last checkpoints of a run: LAWA, Kaddour, arXiv
/// 2209.14981).
struct CheckpointAverage {
  std::vector<std::filesystem::path> origins;  ///< two or more, the last one gives the settings
  std::filesystem::path output;                ///< the checkpoint folder to make
  Config config;                               ///< of the average
  std::int64_t step;                           ///< of the last origin
  std::vector<NamedTensor> tensors;            ///< names and shapes of the weights
};

/// The newest `last` whole checkpoints of a run, the oldest first. Throws InputError where there
/// are fewer.
std::vector<std::filesystem::path> newest_checkpoints(const std::filesystem::path& run,
                                                      std::int64_t last);

/// Checks everything and writes nothing. Throws InputError with all that is wrong: fewer than two
/// checkpoints, one named twice, an output that exists, other models (keys of `model` that differ),
/// other tokenizers.
CheckpointAverage plan_average(const std::vector<std::filesystem::path>& origins,
                               const std::filesystem::path& output);

/// Reads all weights (each file against its hash) and writes their means, each a float64 sum that
/// is rounded once, as a checkpoint without optimizer state, such as `zebra import` writes. Holds
/// the whole model in float32. `progress` hears how many bytes are read. Throws InputError when a
/// checkpoint turns out damaged, RunError when the output cannot be written.
void write_average(
    const CheckpointAverage& average,
    const std::function<void(std::uint64_t bytes_done, std::uint64_t bytes)>& progress = {});

/// What was averaged, for people.
std::string average_text(const CheckpointAverage& average);

}  // namespace zebra
