#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "config/config.h"
#include "distributed/job.h"

namespace zebra {

struct DamagedCheckpoint {
  std::filesystem::path folder;
  std::vector<std::string> faults;  ///< one sentence each
};

/// Where a start goes on from.
struct ResumePoint {
  std::optional<std::filesystem::path> checkpoint;  ///< nothing: from scratch
  std::vector<DamagedCheckpoint> passed_over;       ///< newer ones in run.dir that are damaged
};

/// Finds the checkpoint to go on from, with every byte of it checked. All ranks of the job call it:
/// they share the reading.
///
/// `resume` is "auto" (the newest undamaged checkpoint in run.dir, if there is any at all), "never"
/// (refused where run.dir holds checkpoints) or the path of a run or checkpoint (refused where it
/// is damaged, or run.dir holds newer ones, which would be mixed up with the new ones). Throws
/// InputError; also where all checkpoints are damaged, since a start from scratch would bury them,
/// and for the checkpoint of a newer build.
ResumePoint find_resume_point(const Config& config, const std::string& resume, Job& job);

/// Fingerprints of a run's datasets, in the order of RunDatasets.
struct DataFingerprints {
  std::vector<std::string> train, validation;
};

/// Compares the run's configuration, and what its data hold, with the one of the checkpoint:
/// returns what changed and may, as "key: before -> after", and throws InputError with all that may
/// not, and with the command that makes a new run of the checkpoint with these settings, where
/// there is one. Where something lies does not count: the run and its name, datasets with the same
/// fingerprints, the tokenizer (which datasets pin by its hash).
std::vector<std::string> check_resumable(Checkpoint& checkpoint, const Config& config,
                                         const DataFingerprints& data);

}  // namespace zebra
