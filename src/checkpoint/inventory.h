#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/folder.h"

namespace zebra {

// What is in a run's folder `checkpoints`, whole or not, and what of it may go.

/// What a folder within `checkpoints` is, in the order of their names.
enum class EntryState {
  whole,        ///< as far as its manifest and the sizes of its files tell
  damaged,      ///< it has a manifest, which does not describe its files
  unreadable,   ///< it has a manifest, of a newer format or that cannot be read
  no_manifest,  ///< named like a checkpoint: an interrupted deletion, or the manifest was lost
  unfinished,   ///< step-00000200.partial-77: a save on its way, or one that was interrupted
  set_aside,    ///< step-00000200.corrupt: found damaged when a run went on
  unknown,      ///< none of these
};

struct CheckpointEntry {
  std::filesystem::path folder;
  EntryState state = EntryState::unknown;
  std::int64_t step = -1;           ///< -1: unknown
  std::vector<std::string> faults;  ///< of damaged and unreadable ones
  std::uint64_t bytes = 0, files = 0;
  std::string written;  ///< "2026-01-31T12:00:00Z"
  std::optional<double> validation_loss;
  std::optional<std::int64_t> tokens;

  bool has_manifest() const;
  /// What a save or deletion, unless it is on its way, or a damaged checkpoint left behind.
  bool is_leftover() const;
};

/// "whole", "unfinished save", …
std::string name_of(EntryState state);

/// Everything in a run's folder `checkpoints`, by step. Reads manifests and sizes only. Throws
/// InputError when the folder cannot be read; one that does not exist is empty.
std::vector<CheckpointEntry> checkpoint_entries(const std::filesystem::path& run);

/// The run that `path` means: a run folder, or the folder `checkpoints` in it. Throws InputError
/// when there is no such folder or it is neither.
std::filesystem::path run_of(const std::string& path);

/// The checkpoints that `path` means, whole or not: all of a run folder, else the one of
/// find_checkpoint. Throws InputError when there is none.
std::vector<std::filesystem::path> checkpoints_at(const std::string& path);

/// When a file or folder was last written, UTC: "2026-01-31T12:00:00Z"; empty when that is unknown.
std::string written_text(const std::filesystem::path& path);

struct CheckpointInventory {
  std::filesystem::path run;
  std::vector<CheckpointEntry> entries;  ///< by step
  std::optional<std::size_t> newest;     ///< of those with a manifest; an index
  std::optional<std::size_t> best;       ///< the lowest validation loss among them
  /// The keys of the run's section `checkpoint` that let one stay, by step; empty where the run's
  /// settings, or a manifest, cannot be read.
  std::map<std::int64_t, std::vector<std::string>> kept_by;

  std::vector<std::string> reasons_to_keep(const CheckpointEntry& entry) const;
};

/// Throws as checkpoint_entries.
CheckpointInventory take_inventory(const std::filesystem::path& run);

std::string inventory_text(const CheckpointInventory& inventory);
nlohmann::ordered_json inventory_json(const CheckpointInventory& inventory);

struct PrunePlan {
  std::vector<CheckpointEntry> go, stay;
  std::uint64_t bytes_freed = 0;
};

/// What `retention` does not ask for, and what saves and deletions left behind. A damaged
/// checkpoint does not count as one that stays: throws RunError where one would.
PrunePlan plan_prune(const std::filesystem::path& run, const Retention& retention);

/// Deletes what goes.
void prune(const PrunePlan& plan);

std::string prune_text(const PrunePlan& plan, bool dry_run);
nlohmann::ordered_json prune_json(const PrunePlan& plan, bool dry_run);

}  // namespace zebra
