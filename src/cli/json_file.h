#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

namespace zebra {

/// Throws InputError when `path` lies in no folder: better before the work than after it.
void check_json_path(const std::filesystem::path& path);

/// Writes the text, indented, atomically unless `path` is a pipe or a device.
void write_json(const std::filesystem::path& path, const nlohmann::ordered_json& json);

}  // namespace zebra
