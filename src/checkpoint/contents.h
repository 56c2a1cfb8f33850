#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "checkpoint/manifest.h"
#include "config/config.h"

namespace zebra {

/// All that is shown of a checkpoint.
struct CheckpointContents {
  std::filesystem::path folder;
  Config config;
  Manifest manifest;
  std::int64_t format_version;
  std::string written;  ///< "2026-01-31T12:00:00Z"

  std::uint64_t bytes() const;  ///< of its files
};

/// Of what RUN_OR_CHECKPOINT means (see find_checkpoint). Throws InputError when it cannot be found
/// or read.
CheckpointContents read_checkpoint_contents(const std::string& run_or_checkpoint);

/// Tables for people: model and training state, files, and every tensor where `tensors` says so.
std::string contents_text(const CheckpointContents& contents, bool tensors);
nlohmann::ordered_json contents_json(const CheckpointContents& contents, bool tensors);

}  // namespace zebra
