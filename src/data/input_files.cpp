#include "data/input_files.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "data/input_stream.h"

namespace zebra {
namespace {

namespace fs = std::filesystem;

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

bool has_extension(const std::string& path, const std::vector<std::string>& extensions) {
  if (extensions.empty()) return true;
  const std::string name = without_compression_suffix(path);
  return std::any_of(extensions.begin(), extensions.end(), [&name](const std::string& extension) {
    return name.ends_with(extension.starts_with('.') ? extension : "." + extension);
  });
}

std::vector<fs::path> files_below(const fs::path& folder,
                                  const std::vector<std::string>& extensions) {
  std::vector<fs::path> files;
  for (auto entry = fs::recursive_directory_iterator(folder);
       entry != fs::recursive_directory_iterator(); ++entry) {
    if (is_hidden(entry->path())) {
      entry.disable_recursion_pending();
    } else if (entry->is_regular_file() && has_extension(entry->path().string(), extensions)) {
      files.push_back(entry->path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

void add_folder(const std::string& folder, const std::vector<std::string>& extensions,
                InputFiles& result, Problems& problems) {
  const auto files = files_below(folder, extensions);
  if (files.empty()) {
    const std::string kind =
        extensions.empty() ? "no file" : "no file that ends in " + join(extensions, " or ");
    problems.add(folder + ": the folder holds " + kind + " (hidden ones do not count)");
  }
  for (const auto& file : files) {
    result.files.push_back({file.string(), true});
    result.bytes += fs::file_size(file);
  }
}

void add_input(const std::string& input, const std::vector<std::string>& extensions,
               InputFiles& result, Problems& problems) {
  if (input == kStandardInput) {
    result.files.push_back({input, false});
  } else if (!fs::exists(input)) {
    problems.add(input + ": there is no such file or folder");
  } else if (fs::is_directory(input)) {
    add_folder(input, extensions, result, problems);
  } else if (fs::is_regular_file(input) && fs::file_size(input) == 0) {
    problems.add(input + ": the file is empty");
  } else {
    result.files.push_back({input, false});
    if (fs::is_regular_file(input)) result.bytes += fs::file_size(input);
  }
}

}  // namespace

std::string without_compression_suffix(const std::string& path) {
  for (const std::string suffix : {".gz", ".zst"}) {
    if (path.ends_with(suffix)) return path.substr(0, path.size() - suffix.size());
  }
  return path;
}

InputFiles list_input_files(const std::vector<std::string>& inputs,
                            const std::vector<std::string>& extensions) {
  InputFiles result;
  Problems problems;
  for (const auto& input : inputs) {
    try {
      add_input(input, extensions, result, problems);
    } catch (const fs::filesystem_error& error) {
      problems.add((error.path1().empty() ? input : error.path1().string()) +
                   ": cannot look into it: " + error.code().message());
    }
  }
  const auto is_standard_input = [](const std::string& input) { return input == kStandardInput; };
  const auto uses = std::count_if(inputs.begin(), inputs.end(), is_standard_input);
  if (uses > 1) problems.add("standard input (-) is named more than once among the inputs");
  if (inputs.empty()) problems.add("no input is given: name files, folders or - (standard input)");
  problems.throw_if_any();
  if (uses > 0) result.bytes = 0;
  return result;
}

}  // namespace zebra
