#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace zebra {

// The folder `checkpoints` of a run: one sub-folder step-00000200 for each checkpoint.

struct CheckpointPlace {
  std::int64_t step;
  std::filesystem::path folder;
};

std::filesystem::path checkpoint_folder(const std::filesystem::path& run, std::int64_t step);

/// What a folder's name says: that of a checkpoint is step-00000200; ".partial-77" follows where a
/// save is on its way or was interrupted, ".corrupt" where the checkpoint was set aside.
struct CheckpointName {
  std::int64_t step = 0;
  std::string ending;
};

/// Nothing for a name that begins otherwise, however near: step--5 and step-5 are none of ours.
std::optional<CheckpointName> checkpoint_name(const std::string& name);

/// Everything in the folder `checkpoints` of a run, in no order; one that does not exist is empty.
/// Throws InputError when it cannot be read: it must not look like one without checkpoints.
std::vector<std::filesystem::path> checkpoint_folder_entries(const std::filesystem::path& run);

/// Whether a checkpoint is whole, as far as that shows without reading it.
bool has_manifest(const std::filesystem::path& folder);

/// All whole checkpoints (those with a manifest) of a run, the oldest first.
std::vector<CheckpointPlace> list_checkpoints(const std::filesystem::path& run);

/// Which checkpoints of a run stay.
struct Retention {
  std::int64_t keep_last;       ///< so many of the newest, at least one
  std::int64_t keep_every = 0;  ///< those of steps that are a multiple of it; 0: none
  std::int64_t keep_best = 0;   ///< so many of those with the lowest validation loss; 0: none
};

/// A checkpoint whose manifest is damaged, so that nobody knows whether it is one of the best.
struct UnreadableCheckpoint {
  std::int64_t step;
  std::string fault;
};

/// The whole checkpoints that `retention` does not ask for, the oldest first. Those that might be
/// asked for by keep_best, were they readable, are not among them.
std::vector<CheckpointPlace> superfluous_checkpoints(
    const std::filesystem::path& run, const Retention& retention,
    std::vector<UnreadableCheckpoint>* unreadable = nullptr);

/// Deletes a checkpoint, its manifest first: a deletion that is interrupted leaves nothing that
/// could be taken for whole. Of a link to a checkpoint that was moved elsewhere, the link alone.
void delete_checkpoint(const std::filesystem::path& folder);

/// Deletes the superfluous ones; gives those that stay because they cannot be read.
std::vector<UnreadableCheckpoint> prune_checkpoints(const std::filesystem::path& run,
                                                    const Retention& retention);

/// Renames a damaged checkpoint to step-00000200.corrupt, out of the way of the run, which will
/// come to that step again. Returns its new path.
std::filesystem::path set_aside(const std::filesystem::path& checkpoint);

/// Deletes what an interrupted save or deletion left behind, and no other name. Only for the
/// process that owns the run folder.
void remove_partial_checkpoints(const std::filesystem::path& run);

/// Adds a problem where `folder`, which a command is to make, exists already or cannot be looked
/// at.
void check_new_folder(const std::filesystem::path& folder, Problems& problems);

/// Has `fill` write a folder beside its place, flushed, and renames it: there is a whole folder or
/// none. Throws InputError as `fill` does, and RunError when it cannot be written.
void write_new_folder(const std::filesystem::path& folder,
                      const std::function<void(const std::filesystem::path& beside)>& fill);

/// The checkpoint that RUN_OR_CHECKPOINT means: a checkpoint folder itself; of a run folder the
/// newest whole checkpoint, RUN@200 that of step 200, RUN@best the one with the lowest validation
/// loss. Throws InputError with what there is.
std::filesystem::path find_checkpoint(const std::string& run_or_checkpoint);

}  // namespace zebra
