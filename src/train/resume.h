#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"

namespace zebra {

/// The checkpoint to go on from, or nothing for a start from scratch.
///
/// `resume` is "auto" (the newest whole checkpoint in run.dir, if any), "never" (refused where
/// run.dir holds checkpoints) or the path of a run or checkpoint (refused where run.dir holds newer
/// ones, which would be mixed up with the new ones).
std::optional<std::filesystem::path> checkpoint_to_resume(const Config& config,
                                                          const std::string& resume);

/// Compares the run's configuration with the one of the checkpoint: returns what changed and may,
/// as "key: before -> after", and throws InputError with all that may not. A run that goes on in
/// another folder may have another name and dir.
std::vector<std::string> check_resumable(const Config& saved, const Config& config, bool same_run);

}  // namespace zebra
