#include "checkpoint/folder.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "checkpoint/manifest.h"

namespace zebra {
namespace {

constexpr const char* kPrefix = "step-";

// The step in a name like step-00000200; nothing for other names, step-00000200.partial-77
// included.
std::optional<std::int64_t> step_of(const std::filesystem::path& entry) {
  const auto name = checkpoint_name(entry.filename().string());
  return name && name->ending.empty() ? std::optional(name->step) : std::nullopt;
}

bool is_directory(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

std::string steps_text(const std::vector<CheckpointPlace>& places) {
  std::vector<std::string> steps;
  for (const auto& place : places) steps.push_back(std::to_string(place.step));
  return join(steps, ", ");
}

struct ScoredCheckpoint {
  double validation_loss;
  CheckpointPlace place;
};

// Those that were saved at a step with a validation, the lowest loss first, the oldest of equals.
// `unreadable` gets what cannot be told of a checkpoint whose manifest is damaged.
std::vector<ScoredCheckpoint> best_first(const std::vector<CheckpointPlace>& places,
                                         std::vector<UnreadableCheckpoint>& unreadable) {
  std::vector<ScoredCheckpoint> scored;
  for (const auto& place : places) {
    try {
      const auto training = Manifest::of(place.folder).training;
      const auto loss = training.find("validation_loss");
      if (loss != training.end() && loss->is_number())
        scored.push_back({loss->get<double>(), place});
    } catch (const InputError& error) {
      unreadable.push_back({place.step, error.what()});
    }
  }
  std::stable_sort(scored.begin(), scored.end(), [](const auto& a, const auto& b) {
    return a.validation_loss < b.validation_loss;
  });
  return scored;
}

std::filesystem::path best_checkpoint(const std::string& run,
                                      const std::vector<CheckpointPlace>& places) {
  std::vector<UnreadableCheckpoint> unreadable;
  const auto scored = best_first(places, unreadable);
  for (const auto& checkpoint : unreadable)
    log_warning(checkpoint.fault + "; passed over, whether or not it is the best");
  if (scored.empty()) {
    throw InputError(run +
                     "@best: none of its checkpoints was saved at a step with a validation; set "
                     "eval.every_steps so "
                     "that it falls on checkpoint.every_steps, or name a step: " +
                     steps_text(places));
  }
  return scored.front().place.folder;
}

}  // namespace

std::optional<CheckpointName> checkpoint_name(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  CheckpointName read;
  const char* end = name.data() + name.size();
  const auto result = std::from_chars(name.data() + std::strlen(kPrefix), end, read.step);
  if (result.ec != std::errc() || read.step < 0) return std::nullopt;
  read.ending.assign(result.ptr, end);
  const auto exact = checkpoint_folder("", read.step).filename().string();
  return name == exact + read.ending ? std::optional(read) : std::nullopt;
}

bool has_manifest(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::exists(folder / Manifest::kFileName, ignored);
}

std::vector<std::filesystem::path> checkpoint_folder_entries(const std::filesystem::path& run) {
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

std::filesystem::path checkpoint_folder(const std::filesystem::path& run, std::int64_t step) {
  char number[32];
  std::snprintf(number, sizeof number, "%08lld", static_cast<long long>(step));
  return run / "checkpoints" / (kPrefix + std::string(number));
}

std::vector<CheckpointPlace> list_checkpoints(const std::filesystem::path& run) {
  std::vector<CheckpointPlace> places;
  for (const auto& entry : checkpoint_folder_entries(run)) {
    const auto step = step_of(entry);
    if (step && has_manifest(entry)) places.push_back({*step, entry});
  }
  std::sort(places.begin(), places.end(),
            [](const auto& a, const auto& b) { return a.step < b.step; });
  return places;
}

std::vector<CheckpointPlace> superfluous_checkpoints(
    const std::filesystem::path& run, const Retention& retention,
    std::vector<UnreadableCheckpoint>* unreadable) {
  const auto places = list_checkpoints(run);
  std::set<std::int64_t> kept;
  const auto last = static_cast<std::size_t>(std::max<std::int64_t>(retention.keep_last, 1));
  for (std::size_t i = places.size() - std::min(last, places.size()); i < places.size(); ++i)
    kept.insert(places[i].step);
  if (retention.keep_every > 0) {
    for (const auto& place : places)
      if (place.step % retention.keep_every == 0) kept.insert(place.step);
  }
  if (retention.keep_best > 0) {
    std::vector<UnreadableCheckpoint> unknown;
    const auto scored = best_first(places, unknown);
    for (const auto& checkpoint : unknown) kept.insert(checkpoint.step);
    if (unreadable != nullptr) *unreadable = unknown;
    const auto best = std::min(static_cast<std::size_t>(retention.keep_best), scored.size());
    for (std::size_t i = 0; i < best; ++i) kept.insert(scored[i].place.step);
  }
  std::vector<CheckpointPlace> superfluous;
  std::ranges::copy_if(places, std::back_inserter(superfluous),
                       [&](const auto& place) { return !kept.contains(place.step); });
  return superfluous;
}

void delete_checkpoint(const std::filesystem::path& folder) {
  if (std::filesystem::is_symlink(folder)) {
    std::filesystem::remove(folder);
    return;
  }
  std::filesystem::remove(folder / Manifest::kFileName);
  flush_to_disk(folder);
  std::filesystem::remove_all(folder);
}

std::vector<UnreadableCheckpoint> prune_checkpoints(const std::filesystem::path& run,
                                                    const Retention& retention) {
  std::vector<UnreadableCheckpoint> unreadable;
  for (const auto& place : superfluous_checkpoints(run, retention, &unreadable))
    delete_checkpoint(place.folder);
  return unreadable;
}

std::filesystem::path set_aside(const std::filesystem::path& checkpoint) {
  std::filesystem::path aside;
  for (int attempt = 1; aside.empty() || std::filesystem::exists(aside); ++attempt) {
    aside = checkpoint.string() + ".corrupt" + (attempt > 1 ? "-" + std::to_string(attempt) : "");
  }
  std::filesystem::rename(checkpoint, aside);
  flush_to_disk(aside.parent_path());
  return aside;
}

void remove_partial_checkpoints(const std::filesystem::path& run) {
  for (const auto& entry : checkpoint_folder_entries(run)) {
    const auto whole = name_of_partial(entry.filename().string());
    const bool is_ours =
        whole ? step_of(*whole).has_value() : step_of(entry) && !has_manifest(entry);
    if (is_ours && !std::filesystem::is_symlink(entry)) std::filesystem::remove_all(entry);
  }
}

void check_new_folder(const std::filesystem::path& folder, Problems& problems) {
  std::error_code error;
  const auto status = std::filesystem::symlink_status(folder, error);
  if (status.type() == std::filesystem::file_type::not_found) return;
  problems.add(folder.string() + (std::filesystem::exists(status)
                                      ? ": exists already; name a new folder with --output"
                                      : ": cannot be looked at: " + error.message()));
}

void write_new_folder(const std::filesystem::path& folder,
                      const std::function<void(const std::filesystem::path& beside)>& fill) {
  const auto beside = partial_path(folder);
  const auto remove_beside = [&] {
    std::error_code ignored;
    std::filesystem::remove_all(beside, ignored);
  };
  try {
    std::filesystem::remove_all(beside);
    std::filesystem::create_directories(beside);
    fill(beside);
    flush_to_disk(beside);
    if (std::filesystem::exists(folder)) throw RunError("it exists already");
    std::filesystem::rename(beside, folder);
    flush_to_disk(folder.parent_path());
  } catch (const InputError&) {
    remove_beside();
    throw;
  } catch (const std::exception& error) {
    remove_beside();
    throw RunError(folder.string() + ": cannot be written: " + error.what());
  }
}

std::filesystem::path find_checkpoint(const std::string& run_or_checkpoint) {
  if (has_manifest(run_or_checkpoint)) return run_or_checkpoint;
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
