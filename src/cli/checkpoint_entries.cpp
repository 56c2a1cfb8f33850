#include "cli/checkpoint_entries.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstring>
#include <ctime>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/manifest.h"
#include "checkpoint/verification.h"

namespace zebra {
namespace {

constexpr const char* kFolder = "checkpoints";
constexpr const char* kPrefix = "step-";

bool is_folder(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

std::vector<std::filesystem::path> folders_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> folders;
  std::error_code error;
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error))
    if (is_folder(entry->path())) folders.push_back(entry->path());
  if (error && error != std::errc::no_such_file_or_directory)
    throw InputError(folder.string() + ": cannot be read: " + error.message());
  return folders;
}

/// Sets step and, from what follows it in the name, the state as far as it needs no manifest.
void read_name(CheckpointEntry& entry) {
  const std::string name = entry.folder.filename().string();
  if (!name.starts_with(kPrefix)) return;
  const char* end = name.data() + name.size();
  std::int64_t step = 0;
  const auto result = std::from_chars(name.data() + std::strlen(kPrefix), end, step);
  if (result.ec != std::errc()) return;
  const std::string rest(result.ptr, end);
  if (rest.empty()) {
    entry.state = EntryState::no_manifest;
  } else if (rest.starts_with(".partial-")) {
    entry.state = EntryState::unfinished;
  } else if (rest.starts_with(".corrupt")) {
    entry.state = EntryState::set_aside;
  } else {
    return;
  }
  entry.step = step;
}

void read_sizes(CheckpointEntry& entry) {
  std::error_code error;
  for (std::filesystem::directory_iterator file(entry.folder, error);
       !error && file != std::filesystem::directory_iterator(); file.increment(error)) {
    std::error_code ignored;
    const auto bytes = std::filesystem::file_size(file->path(), ignored);
    if (ignored) continue;
    entry.bytes += bytes;
    ++entry.files;
  }
}

void read_manifest(CheckpointEntry& entry, const std::filesystem::path& path) {
  try {
    entry.faults = checkpoint_size_faults(entry.folder);
    entry.state = entry.faults.empty() ? EntryState::whole : EntryState::damaged;
    const auto training = Manifest::from_text(read_file(path), path).training;
    if (const auto loss = training.find("validation_loss");
        loss != training.end() && loss->is_number())
      entry.validation_loss = loss->get<double>();
    if (const auto tokens = training.find("tokens");
        tokens != training.end() && tokens->is_number_integer())
      entry.tokens = tokens->get<std::int64_t>();
  } catch (const InputError& error) {
    if (!entry.faults.empty()) return;  // the manifest itself is damaged, and said to be
    entry.state = EntryState::unreadable;
    entry.faults = {error.what()};
  }
}

}  // namespace

bool CheckpointEntry::has_manifest() const {
  return state == EntryState::whole || state == EntryState::damaged ||
         state == EntryState::unreadable;
}

bool CheckpointEntry::is_leftover() const {
  return state == EntryState::no_manifest || state == EntryState::unfinished ||
         state == EntryState::set_aside;
}

std::string name_of(EntryState state) {
  switch (state) {
    case EntryState::whole:
      return "whole";
    case EntryState::damaged:
      return "damaged";
    case EntryState::unreadable:
      return "unreadable";
    case EntryState::no_manifest:
      return "no manifest";
    case EntryState::unfinished:
      return "unfinished save";
    case EntryState::set_aside:
      return "set aside as corrupt";
    case EntryState::unknown:
      break;
  }
  return "no checkpoint";
}

std::vector<CheckpointEntry> checkpoint_entries(const std::filesystem::path& run) {
  std::vector<CheckpointEntry> entries;
  for (const auto& folder : folders_in(run / kFolder)) {
    auto& entry = entries.emplace_back();
    entry.folder = folder;
    read_name(entry);
    read_sizes(entry);
    const auto manifest = folder / Manifest::kFileName;
    std::error_code ignored;
    const bool has_manifest = std::filesystem::exists(manifest, ignored);
    entry.written = written_text(has_manifest ? manifest : folder);
    if (entry.state == EntryState::no_manifest && has_manifest) read_manifest(entry, manifest);
  }
  std::ranges::sort(entries, [](const auto& a, const auto& b) {
    return std::pair(a.step, a.folder) < std::pair(b.step, b.folder);
  });
  return entries;
}

std::filesystem::path run_of(const std::string& path) {
  const auto folder = folder_path(path);
  if (!is_folder(folder)) throw InputError(path + ": no such run folder");
  if (is_folder(folder / kFolder)) return folder;
  const auto name = std::filesystem::absolute(folder).lexically_normal().filename();
  if (name == kFolder) {
    const auto run = folder.parent_path();
    return run.empty() ? "." : run;
  }
  std::error_code ignored;
  if (std::filesystem::exists(folder / "config.yaml", ignored) &&
      !std::filesystem::exists(folder / Manifest::kFileName, ignored))
    return folder;  // a run that has saved nothing yet
  throw InputError(
      path +
      ": is no run folder, which has a folder checkpoints in it; for a single checkpoint there are "
      "`zebra checkpoint show` and `verify`");
}

std::string written_text(const std::filesystem::path& path) {
  std::error_code error;
  const auto written = std::filesystem::last_write_time(path, error);
  if (error) return "";
  const std::time_t seconds = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::file_clock::to_sys(written)));
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text.data();
}

}  // namespace zebra
