#include "cli/json_file.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/file.h"

namespace zebra {

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

}  // namespace zebra
