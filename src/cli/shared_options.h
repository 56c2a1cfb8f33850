#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "config/config.h"

namespace CLI {
class App;
}

namespace zebra {

// What several subcommands take.

/// Run files: `RUN.yaml… [--set section.key=VALUE]…`.
struct RunFileOptions {
  std::vector<std::string> files;
  std::vector<std::string> overrides;

  /// Adds the options to a subcommand. The object must live until the command line is parsed.
  void add_to(CLI::App& command);

  /// The loaded file. Throws InputError, also when no run file was given.
  RunFile load(int ranks = 1) const;
};

/// Adds RUN_OR_CHECKPOINT, what find_checkpoint takes. `value` must live until the command line is
/// parsed.
void add_checkpoint_argument(CLI::App& command, std::string& value);

/// Adds a problem when `path` (empty: not wanted) cannot be written without harm: it lies in no
/// folder, is a link, or a file that this command did not write, in which `mark` does not stand.
/// Better before the work than after it.
void check_output_path(const std::filesystem::path& path, std::string_view mark,
                       Problems& problems);

/// Writes the text, indented, atomically unless `path` is a pipe or a device (/dev/stdout).
void write_json(const std::filesystem::path& path, const nlohmann::ordered_json& json);

/// How --help shows the default of a list. (CLI11 would use LibTorch's way to print a vector in
/// files that include both.)
std::string list_default(const std::vector<std::string>& values);

}  // namespace zebra
