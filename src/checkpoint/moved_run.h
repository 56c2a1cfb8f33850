#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/config.h"

namespace zebra {

// A run folder may be moved, alone or with the project around it; the paths in its config.yaml stay
// what they were. What is found here instead of them may be something else: that is for others to
// check (datasets have fingerprints). Each returns a sentence for every path that was changed.

/// Looks for what is no longer where `data` says, at the same place relative to the run folder that
/// was `old_run` and is `run`; for the tokenizer also in the run folder and in its newest
/// checkpoint.
std::vector<std::string> follow_moved_data(DataSection& data, const std::filesystem::path& old_run,
                                           const std::filesystem::path& run);

/// Where the last of `files` is the config.yaml of a run folder, run.dir becomes that folder,
/// unless `overrides` name another, and the data follow.
std::vector<std::string> follow_moved_run(RunFile& file, const std::vector<std::string>& files,
                                          const std::vector<std::string>& overrides);

}  // namespace zebra
