#include "cli/shared_options.h"

#include <CLI/CLI.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "config/load.h"

namespace zebra {

void RunFileOptions::add_to(CLI::App& command) {
  command.add_option("RUN.yaml", files, "Run files; keys of later ones win");
  command
      .add_option("--set", overrides,
                  "Override one key, for example --set train.max_steps=100 (repeatable)")
      ->type_name("section.key=VALUE")
      ->allow_extra_args(false);
}

RunFile RunFileOptions::load(int ranks) const {
  if (files.empty()) {
    throw InputError(
        "no run file was given; name one, for example run.yaml (`zebra config --reference` lists "
        "its keys)");
  }
  return load_run_file({files.begin(), files.end()}, overrides, ranks);
}

void add_checkpoint_argument(CLI::App& command, std::string& value) {
  command
      .add_option("RUN_OR_CHECKPOINT", value,
                  "Run folder (RUN, RUN@step, RUN@best) or checkpoint folder")
      ->required();
}

void check_output_path(const std::filesystem::path& path, Problems& problems) {
  if (path.empty()) return;
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) {
    problems.add(path.string() +
                 ": is to be written into a folder that does not exist; make it first");
  }
}

void write_json(const std::filesystem::path& path, const nlohmann::ordered_json& json) {
  const std::string text = json.dump(2) + "\n";
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored) && !std::filesystem::is_regular_file(path, ignored)) {
    std::ofstream(path) << text;  // a pipe or /dev/stdout has nothing beside it to rename
  } else {
    write_file_atomically(path, text);
  }
}

std::string list_default(const std::vector<std::string>& values) {
  return "[" + join(values, ",") + "]";
}

}  // namespace zebra
