#include "data/dataset_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "data/token_dataset_format.h"

namespace zebra {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPartial = ".partial-";
constexpr const char* kReplaced = ".replaced-";

fs::path path_beside(const fs::path& output, const char* purpose) {
  return output.string() + purpose + std::to_string(::getpid());
}

bool holds_only_our_files(const fs::path& folder) {
  static constexpr std::array kNames = {kTokensFile, kDocumentsFile, kLossMaskFile,
                                        kDescriptionFile};
  return fs::is_directory(fs::symlink_status(folder)) &&
         std::all_of(fs::directory_iterator(folder), fs::directory_iterator(),
                     [](const fs::directory_entry& entry) {
                       return std::ranges::find(kNames, entry.path().filename().string()) !=
                              kNames.end();
                     });
}

/// The folders beside `output` that processes, this one or others, named for that purpose.
std::vector<fs::path> folders_beside(const fs::path& output, const char* purpose) {
  const std::string start = output.filename().string() + purpose;
  const fs::path parent = output.has_parent_path() ? output.parent_path() : fs::path(".");
  std::vector<fs::path> folders;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(parent, error)) {
    const std::string name = entry.path().filename().string();
    if (name.size() > start.size() && name.starts_with(start) &&
        name.find_first_not_of("0123456789", start.size()) == std::string::npos &&
        holds_only_our_files(entry.path())) {
      folders.push_back(output.parent_path() / name);
    }
  }
  return folders;
}

/// The lock that a process holds on its folder; -1 when another holds it, or nobody can tell.
int try_lock(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor >= 0 && ::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return descriptor;
  if (descriptor >= 0) ::close(descriptor);
  return -1;
}

void remove_folder(const fs::path& folder) {
  std::error_code error;
  fs::remove_all(folder, error);
  if (error) log_warning(folder.string() + ": cannot be removed: " + error.message());
}

void remove_leftovers(const fs::path& output) {
  for (const char* purpose : {kPartial, kReplaced}) {
    for (const auto& folder : folders_beside(output, purpose)) {
      const int lock = try_lock(folder);
      if (lock < 0) continue;
      log_info(folder.string() + ": left by a command that was killed; removed");
      remove_folder(folder);
      ::close(lock);
    }
  }
}

void check_output(const fs::path& output, bool overwrite) {
  if (!fs::exists(fs::symlink_status(output))) return;
  if (!overwrite) {
    throw InputError(output.string() +
                     ": exists already; choose another output or replace it with --overwrite");
  }
  if (!is_only_a_dataset(output)) {
    throw InputError(output.string() +
                     ": is not a token dataset, so it is not replaced; choose another output or "
                     "remove it yourself");
  }
}

void move_folder(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) throw RunError(to.string() + ": cannot put it in place: " + error.message());
}

}  // namespace

bool is_only_a_dataset(const fs::path& folder) {
  const fs::path description = folder / kDescriptionFile;
  if (!fs::is_directory(folder) || !fs::is_regular_file(description)) return false;
  try {
    TokenDatasetDescription::from_json(read_file(description), description.string());
  } catch (const InputError&) {
    return false;
  }
  return holds_only_our_files(fs::canonical(folder));
}

std::optional<fs::path> dataset_set_aside(const fs::path& output) {
  const fs::path path = folder_path(output);
  if (fs::exists(fs::symlink_status(path))) return std::nullopt;
  for (const auto& folder : folders_beside(path, kReplaced)) {
    if (is_only_a_dataset(folder)) return folder;
  }
  return std::nullopt;
}

DatasetFolder::DatasetFolder(fs::path output, bool overwrite)
    : output_(folder_path(output)),
      partial_(path_beside(output_, kPartial)),
      overwrite_(overwrite) {
  if (const auto aside = dataset_set_aside(output_)) move_folder(*aside, output_);
  check_output(output_, overwrite_);
  remove_leftovers(output_);
  std::error_code error;
  fs::create_directories(partial_, error);
  if (error) throw RunError(partial_.string() + ": cannot create the folder: " + error.message());
  lock_ = try_lock(partial_);
}

DatasetFolder::~DatasetFolder() {
  std::error_code ignored;
  if (!published_) fs::remove_all(partial_, ignored);
  if (lock_ >= 0) ::close(lock_);
}

void DatasetFolder::publish() {
  check_output(output_, overwrite_);
  const bool replaces = fs::exists(fs::symlink_status(output_));
  fs::path replaced = partial_;
  if (!replaces) {
    move_folder(partial_, output_);
  } else if (::renameat2(AT_FDCWD, partial_.c_str(), AT_FDCWD, output_.c_str(), RENAME_EXCHANGE) !=
             0) {
    replaced = path_beside(output_, kReplaced);
    move_folder(output_, replaced);
    try {
      move_folder(partial_, output_);
    } catch (...) {
      move_folder(replaced, output_);
      throw;
    }
  }
  published_ = true;
  flush_to_disk(output_.has_parent_path() ? output_.parent_path() : fs::path("."));
  if (replaces) remove_folder(replaced);
}

}  // namespace zebra
