#include "checkpoint/folder.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"

namespace zebra {
namespace {

constexpr const char* kPrefix = "step-";

// The step in a name like step-00000200; nothing for other names, step-00000200.partial-77
// included.
std::optional<std::int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto result = std::from_chars(name.data() + std::string(kPrefix).size(), end, step);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return step;
}

bool is_whole(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::exists(folder / Manifest::kFileName, ignored);
}

bool is_directory(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

// Nothing for a folder that does not exist; one that cannot be read must not look like one without
// checkpoints.
std::vector<std::filesystem::path> entries_of(const std::filesystem::path& run) {
  const auto folder = run / "checkpoints";
  std::vector<std::filesystem::path> entries;
  std::error_code error;
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    entries.push_back(entry->path());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw InputError(folder.string() + ": cannot be read: " + error.message());
  }
  return entries;
}

std::string steps_text(const std::vector<CheckpointPlace>& places) {
  std::vector<std::string> steps;
  for (const auto& place : places) steps.push_back(std::to_string(place.step));
  return join(steps, ", ");
}

std::filesystem::path best_checkpoint(const std::string& run,
                                      const std::vector<CheckpointPlace>& places) {
  std::optional<double> best_loss;
  std::filesystem::path best;
  for (const auto& place : places) {
    const auto training = Checkpoint(place.folder).training();
    if (!training.contains("validation_loss") || !training["validation_loss"].is_number()) continue;
    const double loss = training["validation_loss"].get<double>();
    if (!best_loss || loss < *best_loss) {
      best_loss = loss;
      best = place.folder;
    }
  }
  if (!best_loss) {
    throw InputError(run +
                     "@best: none of its checkpoints was saved at a step with a validation; set "
                     "eval.every_steps so "
                     "that it falls on checkpoint.every_steps, or name a step: " +
                     steps_text(places));
  }
  return best;
}

}  // namespace

std::filesystem::path checkpoint_folder(const std::filesystem::path& run, std::int64_t step) {
  char number[32];
  std::snprintf(number, sizeof number, "%08lld", static_cast<long long>(step));
  return run / "checkpoints" / (kPrefix + std::string(number));
}

std::vector<CheckpointPlace> list_checkpoints(const std::filesystem::path& run) {
  std::vector<CheckpointPlace> places;
  for (const auto& entry : entries_of(run)) {
    const auto step = step_of(entry.filename().string());
    if (step && is_whole(entry)) places.push_back({*step, entry});
  }
  std::sort(places.begin(), places.end(),
            [](const auto& a, const auto& b) { return a.step < b.step; });
  return places;
}

void prune_checkpoints(const std::filesystem::path& run, std::int64_t keep_last) {
  const auto places = list_checkpoints(run);
  const auto keep = static_cast<std::size_t>(std::max<std::int64_t>(keep_last, 1));
  for (std::size_t i = 0; i + keep < places.size(); ++i) {
    std::filesystem::remove(places[i].folder / Manifest::kFileName);
    flush_to_disk(places[i].folder);
    std::filesystem::remove_all(places[i].folder);
  }
}

void remove_partial_checkpoints(const std::filesystem::path& run) {
  for (const auto& entry : entries_of(run)) {
    const std::string name = entry.filename().string();
    const bool partial = name.starts_with(kPrefix) && name.find(".partial-") != std::string::npos;
    if (partial || (step_of(name) && !is_whole(entry))) std::filesystem::remove_all(entry);
  }
}

std::filesystem::path find_checkpoint(const std::string& run_or_checkpoint) {
  if (is_whole(run_or_checkpoint)) return run_or_checkpoint;
  const auto at = run_or_checkpoint.rfind('@');
  const bool selects = at != std::string::npos && !is_directory(run_or_checkpoint);
  const std::string run = selects ? run_or_checkpoint.substr(0, at) : run_or_checkpoint;
  const std::string selector = selects ? run_or_checkpoint.substr(at + 1) : "";
  if (!is_directory(run)) {
    throw InputError(run + ": no such run or checkpoint folder");
  }
  const auto places = list_checkpoints(run);
  if (places.empty()) {
    throw InputError(run +
                     ": holds no whole checkpoint; name a run folder that `zebra train` has saved "
                     "into, or a checkpoint folder with a manifest.json");
  }
  if (selector.empty()) return places.back().folder;
  if (selector == "best") return best_checkpoint(run, places);
  for (const auto& place : places) {
    if (std::to_string(place.step) == selector) return place.folder;
  }
  throw InputError(run_or_checkpoint + ": no whole checkpoint of that step; there are " +
                   steps_text(places) + " (and @best)");
}

}  // namespace zebra
