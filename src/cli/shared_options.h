#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "config/catalogue.h"
#include "config/config.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace zebra {

struct DocumentReaderOptions;

// What several subcommands take.

/// More processes than any command plans for: what is computed for each of them stays quick.
inline constexpr double kMostRanks = 1 << 20;

/// Run files: `RUN.yaml… [--set section.key=VALUE]…`.
struct RunFileOptions {
  std::vector<std::string> files;
  std::vector<std::string> overrides;

  /// Adds the options to a subcommand. The object must live until the command line is parsed.
  void add_to(CLI::App& command);

  /// The loaded file. Throws InputError, also when no run file was given.
  RunFile load(int ranks = 1) const;
};

/// Adds --set. `overrides` must live until the command line is parsed.
void add_override_option(CLI::App& command, std::vector<std::string>& overrides,
                         const std::string& example);

/// Adds RUN_OR_CHECKPOINT, what find_checkpoint takes. `value` must live until the command line is
/// parsed.
void add_checkpoint_argument(CLI::App& command, std::string& value);

/// Adds an option for a number, or for several with commas between them: read as run files read
/// theirs, so that it is finite, and in the range of `rules`. --help shows the default where it is
/// in that range. `target` must live until the command line is parsed.
using NumberTarget = std::variant<int*, std::int64_t*, double*, std::optional<std::int64_t>*,
                                  std::vector<std::int64_t>*>;
CLI::Option* add_number(CLI::App& command, const std::string& name, NumberTarget target,
                        const Rules& rules, const std::string& help,
                        const std::string& type_name = "N");

/// Adds how documents are read, which messages about them name: --format, --field, --skip-bad-lines
/// and --max-line-bytes. `options` must live until the command line is parsed.
std::vector<CLI::Option*> add_document_options(CLI::App& command, DocumentReaderOptions& options);

/// Adds --json, with which a command prints JSON instead of a table.
void add_json_flag(CLI::App& command, bool& value);

/// Adds a problem when `path` (empty: not wanted) cannot be written without harm: it lies in no
/// folder, is a link, or a file that this command did not write, in which `mark` does not stand.
/// Better before the work than after it.
void check_output_path(const std::filesystem::path& path, std::string_view mark,
                       Problems& problems);

/// Writes the text, indented, atomically unless `path` is a pipe or a device (/dev/stdout).
void write_json(const std::filesystem::path& path, const nlohmann::ordered_json& json);

/// Bars for work in several parts, one after the other: one for each that has `least` units or
/// more.
class ProgressBars {
 public:
  explicit ProgressBars(std::string unit, std::uint64_t least = 0)
      : unit_(std::move(unit)), least_(least) {}
  ~ProgressBars() { finish(); }
  ProgressBars(const ProgressBars&) = delete;
  ProgressBars& operator=(const ProgressBars&) = delete;

  void update(const std::string& part, std::uint64_t done, std::uint64_t total);

 private:
  void finish();

  std::string unit_, part_;
  std::uint64_t least_, done_ = 0;
  std::optional<ProgressBar> bar_;
};

/// How --help shows the default of a list. (CLI11 would use LibTorch's way to print a vector in
/// files that include both.)
std::string list_default(const std::vector<std::string>& values);

}  // namespace zebra
