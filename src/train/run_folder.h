#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/file_lock.h"
#include "config/config.h"
#include "train/best_effort.h"

namespace zebra {

/// One start of a run, for those who ask later what happened to it.
struct RunStart {
  std::int64_t step;  ///< that it went on from; 0: from the beginning
  int ranks;
  std::vector<std::string> changes;  ///< of the configuration since then: "key: before -> after"
};

/// In the order of their names.
enum class RunState { running, stopped, finished, failed };

/// The folder of one run, owned by the first rank of one job at a time.
class RunFolder {
 public:
  enum class Role {
    owner,     ///< creates the folder, locks it, and is the only one to call what changes it
    follower,  ///< another rank of the owner's job: reads, and adds its part of checkpoints
  };

  /// Throws InputError when another process trains in it, or require_usable() does. A start that
  /// writes nothing else leaves what it found: neither the folder nor the lock stay if it made
  /// them.
  explicit RunFolder(std::filesystem::path path, Role role = Role::owner);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  /// Throws InputError where a run would write over what is none of its own: the path must not
  /// exist, or be a folder that is empty or that a run was begun in.
  static void require_usable(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }

  /// Writes config.yaml (resolved), the tokenizer's files and build.json, which make the folder
  /// self-contained.
  void describe(const Config& config) const;

  /// Appends a row to starts.jsonl: the start with date, build and machine. Where it cannot be
  /// written people are told.
  void add_start(const RunStart& start) const;

  /// Removes what interrupted writes left beside their files, and no other name.
  void remove_partial_files() const;

  /// Replaces status.json atomically. `checkpoint` is the newest whole one, empty when there is
  /// none. Where it cannot be written (a full disk) people are told, and retry_status() tries
  /// again.
  void set_status(RunState state, std::int64_t step, const std::string& reason,
                  const std::filesystem::path& checkpoint);
  void retry_status();

 private:
  void remove_if_unused();

  std::filesystem::path path_;
  std::vector<std::filesystem::path> made_folders_;  // by this start, the innermost first
  std::optional<FileLock> lock_;
  std::string unwritten_status_;
  BestEffort status_writes_{"status.json", "it still says something else; it is tried again"};
};

/// Whether the process that trains in the run folder, or trained there last, ran on this machine
/// and is no longer there. Changes nothing.
bool owner_is_gone(const std::filesystem::path& run);

}  // namespace zebra
