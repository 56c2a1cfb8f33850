#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/manifest.h"
#include "config/config.h"

namespace zebra {

/// The mean of the weights of several checkpoints, checked and not yet written.
struct Average {
  std::vector<std::filesystem::path> checkpoints;  ///< their folders
  std::filesystem::path output;                    ///< the new checkpoint's folder, absolute
  Config config;      ///< of the newest of them, without what is the run's own
  Manifest manifest;  ///< of the new checkpoint, without its files
};

/// Checks everything but the weights and writes nothing. `paths` are what find_checkpoint takes, at
/// least two; or one run, of which the `last` whole checkpoints are meant. Throws InputError with
/// all that is wrong: paths that mean no checkpoint or the same, models or tokenizers that differ
/// (with the keys), an output that exists or that a run would take for a checkpoint of its own.
Average plan_average(const std::vector<std::string>& paths, std::optional<std::int64_t> last,
                     const std::filesystem::path& output);

/// What is done, and of how many bytes.
using AverageProgress =
    std::function<void(const std::string& part, std::uint64_t done, std::uint64_t bytes)>;

/// Writes a whole checkpoint without training state, as `zebra import` does: each weight is the
/// mean of the float32 masters, summed in float64 and rounded once. Weights are read and written a
/// few million at a time, each file after its hash; the folder is there whole or not at all. Throws
/// InputError when a checkpoint turns out damaged or holds weights that are no finite numbers,
/// RunError when the new one cannot be written.
void write_average(const Average& average, const AverageProgress& progress = {});

/// What was written, and what takes it, for people.
std::string average_text(const Average& average);

}  // namespace zebra
