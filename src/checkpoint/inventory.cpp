#include "checkpoint/inventory.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/system.h"
#include "base/text.h"
#include "checkpoint/manifest.h"
#include "checkpoint/verification.h"
#include "config/load.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFolder = "checkpoints";

bool is_folder(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

/// Sets step and, from what follows it in the name, the state as far as it needs no manifest.
void read_name(CheckpointEntry& entry) {
  const auto name = checkpoint_name(entry.folder.filename().string());
  if (!name) return;
  entry.state = name->ending.empty()                    ? EntryState::no_manifest
                : name->ending.starts_with(".partial-") ? EntryState::unfinished
                : name->ending.starts_with(".corrupt")  ? EntryState::set_aside
                                                        : EntryState::unknown;
  if (entry.state != EntryState::unknown) entry.step = name->step;
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

void read_manifest(CheckpointEntry& entry) {
  try {
    entry.faults = checkpoint_size_faults(entry.folder);
    entry.state = entry.faults.empty() ? EntryState::whole : EntryState::damaged;
    const auto training = Manifest::of(entry.folder).training;
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

/// A folder that was meant to be a checkpoint, whole or not.
bool looks_like_checkpoint(const std::filesystem::path& folder) {
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name == Manifest::kFileName || name.starts_with("weights-")) return true;
  }
  return folder_path(folder).filename().string().starts_with("step-") && !error;
}

bool is_run(const std::filesystem::path& folder) {
  return is_folder(folder / kFolder) || folder_path(folder).filename() == kFolder;
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
  static constexpr const char* kNames[] = {"whole",           "damaged",
                                           "unreadable",      "no manifest",
                                           "unfinished save", "set aside as corrupt",
                                           "no checkpoint"};
  return kNames[static_cast<std::size_t>(state)];
}

std::vector<CheckpointEntry> checkpoint_entries(const std::filesystem::path& run) {
  std::vector<CheckpointEntry> entries;
  for (const auto& folder : checkpoint_folder_entries(run)) {
    if (!is_folder(folder)) continue;
    auto& entry = entries.emplace_back();
    entry.folder = folder;
    read_name(entry);
    read_sizes(entry);
    const auto manifest = folder / Manifest::kFileName;
    const bool has_one = has_manifest(folder);
    entry.written = written_text(has_one ? manifest : folder);
    if (entry.state == EntryState::no_manifest && has_one) read_manifest(entry);
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
  if (std::filesystem::exists(folder / "config.yaml", ignored) && !has_manifest(folder))
    return folder;  // a run that has saved nothing yet
  throw InputError(
      path +
      ": is no run folder, which has a folder checkpoints in it; for a single checkpoint there are "
      "`zebra checkpoint show` and `verify`");
}

std::vector<std::filesystem::path> checkpoints_at(const std::string& path) {
  if (looks_like_checkpoint(path)) return {folder_path(path)};
  if (!is_run(path)) return {find_checkpoint(path)};
  const auto run = run_of(path);
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : checkpoint_entries(run))
    if (entry.has_manifest() || entry.state == EntryState::no_manifest)
      folders.push_back(entry.folder);
  if (folders.empty()) return {find_checkpoint(run.string())};  // which says what is missing
  return folders;
}

std::string written_text(const std::filesystem::path& path) {
  std::error_code error;
  const auto written = std::filesystem::last_write_time(path, error);
  if (error) return "";
  return utc_text(
      std::chrono::system_clock::to_time_t(std::chrono::time_point_cast<std::chrono::seconds>(
          std::chrono::file_clock::to_sys(written))));
}

namespace {

using KeptBy = std::map<std::int64_t, std::vector<std::string>>;

std::optional<CheckpointSection> checkpoint_section(const std::filesystem::path& run) {
  try {
    return load_run_file({run / "config.yaml"}, {}).checkpoint;
  } catch (const InputError&) {
    return std::nullopt;  // only the checkpoints were copied, or another build wrote the file
  }
}

std::set<std::int64_t> superfluous_steps(const std::filesystem::path& run,
                                         const Retention& retention) {
  std::set<std::int64_t> steps;
  for (const auto& place : superfluous_checkpoints(run, retention)) steps.insert(place.step);
  return steps;
}

void add_key(const std::filesystem::path& run, const Retention& retention, const std::string& key,
             KeptBy& kept_by) {
  const auto superfluous = superfluous_steps(run, retention);
  for (const auto& place : list_checkpoints(run))
    if (!superfluous.contains(place.step)) kept_by[place.step].push_back(key);
}

KeptBy kept_by_settings(const std::filesystem::path& run) {
  const auto section = checkpoint_section(run);
  if (!section) return {};
  KeptBy kept_by;
  try {
    add_key(run, {section->keep_last}, "keep_last", kept_by);
    if (section->keep_every > 0) {
      for (const auto& place : list_checkpoints(run))
        if (place.step % section->keep_every == 0) kept_by[place.step].emplace_back("keep_every");
    }
    if (section->keep_best > 0) add_key(run, {1, 0, section->keep_best}, "keep_best", kept_by);
  } catch (const InputError&) {
    return {};
  }
  return kept_by;
}

std::string step_text(const CheckpointEntry& entry) {
  return entry.step < 0 ? "-" : std::to_string(entry.step);
}

std::string size_text(const CheckpointEntry& entry) {
  return with_byte_unit(static_cast<double>(entry.bytes));
}

template <class Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json entries_json(const std::vector<CheckpointEntry>& entries) {
  Json list = Json::array();
  for (const auto& entry : entries)
    list.push_back({{"folder", entry.folder.string()},
                    {"state", name_of(entry.state)},
                    {"bytes", entry.bytes}});
  return list;
}

}  // namespace

std::vector<std::string> CheckpointInventory::reasons_to_keep(const CheckpointEntry& entry) const {
  const auto found = kept_by.find(entry.step);
  return entry.has_manifest() && found != kept_by.end() ? found->second
                                                        : std::vector<std::string>{};
}

CheckpointInventory take_inventory(const std::filesystem::path& run) {
  CheckpointInventory inventory = {run, checkpoint_entries(run), {}, {}, kept_by_settings(run)};
  const auto& entries = inventory.entries;
  auto& best = inventory.best;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!entries[i].has_manifest()) continue;
    inventory.newest = i;
    const auto& loss = entries[i].validation_loss;
    if (loss && (!best || *loss < *entries[*best].validation_loss)) best = i;
  }
  return inventory;
}

std::string inventory_text(const CheckpointInventory& inventory) {
  if (inventory.entries.empty()) return inventory.run.string() + ": no checkpoints\n";
  std::vector<std::vector<std::string>> rows = {
      {"step", "state", "size", "validation loss", "tokens", "written", ""}};
  std::string faults;
  for (std::size_t i = 0; i < inventory.entries.size(); ++i) {
    const auto& entry = inventory.entries[i];
    std::vector<std::string> notes;
    if (!entry.has_manifest()) notes.push_back(entry.folder.filename().string());
    if (i == inventory.newest) notes.emplace_back("newest");
    if (i == inventory.best) notes.emplace_back("best");
    if (const auto reasons = inventory.reasons_to_keep(entry); !reasons.empty())
      notes.push_back("kept by " + join(reasons, " and "));
    rows.push_back({step_text(entry), name_of(entry.state), size_text(entry),
                    entry.validation_loss ? fixed(*entry.validation_loss, 4) : "-",
                    entry.tokens ? with_commas(*entry.tokens) : "-", entry.written,
                    join(notes, ", ")});
    for (const auto& fault : entry.faults) faults += fault + "\n";
  }
  return text_table(rows, "rlrrrl") + (faults.empty() ? "" : "\n" + faults);
}

Json inventory_json(const CheckpointInventory& inventory) {
  Json list = Json::array();
  for (std::size_t i = 0; i < inventory.entries.size(); ++i) {
    const auto& entry = inventory.entries[i];
    list.push_back({{"folder", entry.folder.string()},
                    {"state", name_of(entry.state)},
                    {"step", entry.step < 0 ? Json(nullptr) : Json(entry.step)},
                    {"bytes", entry.bytes},
                    {"files", entry.files},
                    {"validation_loss", or_null(entry.validation_loss)},
                    {"tokens", or_null(entry.tokens)},
                    {"written", entry.written},
                    {"newest", i == inventory.newest},
                    {"best", i == inventory.best},
                    {"kept_by", inventory.reasons_to_keep(entry)},
                    {"faults", entry.faults}});
  }
  return {{"run", inventory.run.string()}, {"checkpoints", list}};
}

PrunePlan plan_prune(const std::filesystem::path& run, const Retention& retention) {
  const auto entries = checkpoint_entries(run);
  const bool any_whole = std::ranges::any_of(
      entries, [](const auto& entry) { return entry.state == EntryState::whole; });
  const auto superfluous = superfluous_steps(run, retention);
  PrunePlan plan;
  Problems problems;
  for (const auto& entry : entries) {
    // Where no checkpoint is whole, one that was set aside may be the best there is.
    const bool goes =
        entry.has_manifest()
            ? superfluous.contains(entry.step)
            : entry.is_leftover() && (any_whole || entry.state != EntryState::set_aside);
    (goes ? plan.go : plan.stay).push_back(entry);
    if (goes) plan.bytes_freed += entry.bytes;
    if (goes) continue;
    for (const auto& fault : entry.faults) problems.add(fault);
  }
  if (problems.empty()) return plan;
  problems.add(
      "nothing was deleted: of these checkpoints, which would stay, not all are whole; look with "
      "`zebra checkpoint verify`, move the broken ones away, and prune again");
  throw RunError(join(problems.all(), "\n"));
}

void prune(const PrunePlan& plan) {
  for (const auto& entry : plan.go) delete_checkpoint(entry.folder);
}

std::string prune_text(const PrunePlan& plan, bool dry_run) {
  std::vector<std::vector<std::string>> rows = {{"", "step", "state", "size", "folder"}};
  const auto add = [&rows](const std::string& fate, const CheckpointEntry& entry) {
    rows.push_back(
        {fate, step_text(entry), name_of(entry.state), size_text(entry), entry.folder.string()});
  };
  for (const auto& entry : plan.go) add(dry_run ? "goes" : "deleted", entry);
  for (const auto& entry : plan.stay) add("stays", entry);
  const std::string freed = with_byte_unit(static_cast<double>(plan.bytes_freed));
  return text_table(rows, "lrlrl") +
         (dry_run ? "Dry run: nothing was deleted. It would free " : "freed ") + freed + "\n";
}

Json prune_json(const PrunePlan& plan, bool dry_run) {
  return {{"dry_run", dry_run},
          {"go", entries_json(plan.go)},
          {"stay", entries_json(plan.stay)},
          {"bytes_freed", plan.bytes_freed}};
}

}  // namespace zebra
