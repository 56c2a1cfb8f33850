#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "base/error.h"

namespace zebra {

/// Adds a problem when `path` lies in no folder (empty: not wanted): better before the work than
/// after it.
void check_output_path(const std::filesystem::path& path, Problems& problems);

/// Writes the text, indented, atomically unless `path` is a pipe or a device.
void write_json(const std::filesystem::path& path, const nlohmann::ordered_json& json);

}  // namespace zebra
