#include "cli/checkpoint_list.h"

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "checkpoint/folder.h"
#include "cli/checkpoint_entries.h"
#include "config/load.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

struct ListOptions {
  std::string run;
  bool json = false;
};

/// Why checkpoints stay, by step.
using Reasons = std::map<std::int64_t, std::vector<std::string>>;

std::optional<CheckpointSection> checkpoint_section(const std::filesystem::path& run) {
  try {
    return load_run_file({run / "config.yaml"}, {}).checkpoint;
  } catch (const InputError&) {
    return std::nullopt;  // only the checkpoints were copied, or another build wrote the file
  }
}

void add_reason(const std::filesystem::path& run, const Retention& retention,
                const std::string& reason, Reasons& reasons) {
  std::set<std::int64_t> superfluous;
  for (const auto& place : superfluous_checkpoints(run, retention)) superfluous.insert(place.step);
  for (const auto& place : list_checkpoints(run))
    if (!superfluous.contains(place.step)) reasons[place.step].push_back(reason);
}

/// What the run's own settings say; empty where they, or a manifest, cannot be read.
Reasons reasons_to_stay(const std::filesystem::path& run) {
  const auto section = checkpoint_section(run);
  if (!section) return {};
  Reasons reasons;
  try {
    add_reason(run, {section->keep_last}, "keep_last", reasons);
    if (section->keep_every > 0) {
      for (const auto& place : list_checkpoints(run))
        if (place.step % section->keep_every == 0) reasons[place.step].emplace_back("keep_every");
    }
    if (section->keep_best > 0) add_reason(run, {1, 0, section->keep_best}, "keep_best", reasons);
  } catch (const InputError&) {
    return {};
  }
  return reasons;
}

/// The newest checkpoint, and the one with the lowest validation loss; null where there is none.
struct Marks {
  const CheckpointEntry* newest = nullptr;
  const CheckpointEntry* best = nullptr;
};

Marks marks_of(const std::vector<CheckpointEntry>& entries) {
  Marks marks;
  for (const auto& entry : entries) {
    if (!entry.has_manifest()) continue;
    marks.newest = &entry;
    if (entry.validation_loss &&
        (marks.best == nullptr || *entry.validation_loss < *marks.best->validation_loss))
      marks.best = &entry;
  }
  return marks;
}

std::vector<std::string> row_of(const CheckpointEntry& entry, const Marks& marks,
                                const Reasons& reasons) {
  std::vector<std::string> notes;
  if (!entry.has_manifest()) notes.push_back(entry.folder.filename().string());
  if (&entry == marks.newest) notes.emplace_back("newest");
  if (&entry == marks.best) notes.emplace_back("best");
  if (const auto found = reasons.find(entry.step); entry.has_manifest() && found != reasons.end())
    notes.push_back("kept by " + join(found->second, " and "));
  return {entry.step < 0 ? "-" : std::to_string(entry.step),
          name_of(entry.state),
          with_byte_unit(static_cast<double>(entry.bytes)),
          entry.validation_loss ? fixed(*entry.validation_loss, 4) : "-",
          entry.tokens ? with_commas(*entry.tokens) : "-",
          entry.written,
          join(notes, ", ")};
}

Json to_json(const CheckpointEntry& entry, const Marks& marks, const Reasons& reasons) {
  Json json = {{"folder", entry.folder.string()}, {"state", name_of(entry.state)}};
  json["step"] = entry.step < 0 ? Json(nullptr) : Json(entry.step);
  json["bytes"] = entry.bytes;
  json["files"] = entry.files;
  json["validation_loss"] = entry.validation_loss ? Json(*entry.validation_loss) : Json(nullptr);
  json["tokens"] = entry.tokens ? Json(*entry.tokens) : Json(nullptr);
  json["written"] = entry.written;
  json["newest"] = &entry == marks.newest;
  json["best"] = &entry == marks.best;
  const auto found = reasons.find(entry.step);
  json["kept_by"] =
      entry.has_manifest() && found != reasons.end() ? found->second : std::vector<std::string>{};
  json["faults"] = entry.faults;
  return json;
}

void run_list(const ListOptions& options) {
  const auto run = run_of(options.run);
  const auto entries = checkpoint_entries(run);
  const auto reasons = reasons_to_stay(run);
  const auto marks = marks_of(entries);
  if (options.json) {
    Json json = {{"run", run.string()}, {"checkpoints", Json::array()}};
    for (const auto& entry : entries) json["checkpoints"].push_back(to_json(entry, marks, reasons));
    std::cout << json.dump(2) << "\n";
    return;
  }
  if (entries.empty()) {
    std::cout << run.string() << ": no checkpoints\n";
    return;
  }
  std::vector<std::vector<std::string>> rows = {
      {"step", "state", "size", "validation loss", "tokens", "written", ""}};
  std::string faults;
  for (const auto& entry : entries) {
    rows.push_back(row_of(entry, marks, reasons));
    for (const auto& fault : entry.faults) faults += fault + "\n";
  }
  std::cout << text_table(rows, "rlrrrl");
  if (!faults.empty()) std::cout << "\n" << faults;
}

}  // namespace

void add_checkpoint_list_command(CLI::App& checkpoint) {
  CLI::App* command = checkpoint.add_subcommand(
      "list", "What is in a run's folder of checkpoints, as far as names and sizes tell");
  const auto options = std::make_shared<ListOptions>();
  command->add_option("RUN", options->run, "Run folder, or the folder checkpoints in it")
      ->required();
  command->add_flag("--json", options->json, "Print JSON");
  command->footer("Example: zebra checkpoint list runs/tiny");
  command->callback([options] { run_list(*options); });
}

}  // namespace zebra
