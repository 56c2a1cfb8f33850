#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "checkpoint/manifest.h"
#include "config/config.h"
#include "config/load.h"

namespace zebra {

/// A new run that starts from a checkpoint of another, with other settings.
struct ForkOptions {
  std::filesystem::path output;        ///< the new run folder, which must not exist
  std::string name;                    ///< run.name; empty: the folder's own
  std::vector<std::string> overrides;  ///< as of --set
};

/// Whether a fork may change `key` (dotted): one that leaves the shapes of all tensors as they are.
bool may_change_in_fork(const std::string& key);

/// A fork that is checked and not yet written.
struct Fork {
  std::filesystem::path origin;           ///< the checkpoint's folder
  Config config;                          ///< of the new run
  std::vector<ConfigDifference> changes;  ///< without what is the fork's own: run.dir, run.name, …
  Manifest manifest;                      ///< of the new checkpoint, still with the old config.yaml
};

/// Checks everything and writes nothing. Throws InputError with all that is wrong: an output that
/// exists, overrides that do not parse, that would change the shapes of tensors, or that belong to
/// other options, datasets that cannot be used.
///
/// The training state goes on as it is, the step and with it the position in the data included. The
/// fingerprints of data.train become those of new datasets; a validation loss that other settings
/// would not give is left out.
Fork plan_fork(const std::filesystem::path& checkpoint, const ForkOptions& options);

/// Copies the checkpoint (each file against its hash) with the new configuration into a new run
/// folder, beside its place, flushed, and renames it: there is a whole run or none. `progress`
/// hears how many bytes are done. Throws InputError when the checkpoint turns out damaged, RunError
/// when it cannot be written.
void write_fork(
    const Fork& fork,
    const std::function<void(std::uint64_t bytes_done, std::uint64_t bytes)>& progress = {});

/// What a fork changes and how it goes on, for people; `is_written`: not only planned.
std::string fork_text(const Fork& fork, bool is_written);

}  // namespace zebra
