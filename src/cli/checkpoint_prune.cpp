#include "cli/checkpoint_prune.h"

#include <algorithm>
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
#include "train/run_folder.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

struct PruneOptions {
  std::string run;
  std::optional<std::int64_t> keep_last, keep_every, keep_best;
  bool dry_run = false;
  bool json = false;
};

struct PrunePlan {
  std::vector<CheckpointEntry> go, stay;
};

/// What is given, and for the rest the run's own settings.
Retention retention_of(const PruneOptions& options, const std::filesystem::path& run) {
  CheckpointSection section;
  if (!options.keep_last || !options.keep_every || !options.keep_best)
    section = load_run_file({run / "config.yaml"}, {}).checkpoint;
  return {options.keep_last.value_or(section.keep_last),
          options.keep_every.value_or(section.keep_every),
          options.keep_best.value_or(section.keep_best)};
}

PrunePlan plan(const std::filesystem::path& run, const Retention& retention) {
  const auto entries = checkpoint_entries(run);
  const bool any_whole = std::ranges::any_of(
      entries, [](const auto& entry) { return entry.state == EntryState::whole; });
  std::set<std::int64_t> superfluous;
  for (const auto& place : superfluous_checkpoints(run, retention)) superfluous.insert(place.step);

  PrunePlan plan;
  for (const auto& entry : entries) {
    // Where no checkpoint is whole, one that was set aside may be the best there is.
    const bool goes =
        entry.has_manifest()
            ? superfluous.contains(entry.step)
            : entry.is_leftover() && (any_whole || entry.state != EntryState::set_aside);
    (goes ? plan.go : plan.stay).push_back(entry);
  }
  return plan;
}

/// A damaged checkpoint does not count as one that is kept.
void check_what_stays(const PrunePlan& plan) {
  Problems problems;
  for (const auto& entry : plan.stay)
    for (const auto& fault : entry.faults) problems.add(fault);
  if (problems.empty()) return;
  problems.add(
      "nothing was deleted: of these checkpoints, which would stay, not all are whole; look with "
      "`zebra checkpoint verify`, move the broken ones away, and prune again");
  throw RunError(join(problems.all(), "\n"));
}

std::uint64_t bytes_of(const std::vector<CheckpointEntry>& entries) {
  std::uint64_t bytes = 0;
  for (const auto& entry : entries) bytes += entry.bytes;
  return bytes;
}

void print(const PrunePlan& plan, bool dry_run) {
  std::vector<std::vector<std::string>> rows = {{"", "step", "state", "size", "folder"}};
  const auto add = [&rows](const std::string& fate, const CheckpointEntry& entry) {
    rows.push_back({fate, entry.step < 0 ? "-" : std::to_string(entry.step), name_of(entry.state),
                    with_byte_unit(static_cast<double>(entry.bytes)), entry.folder.string()});
  };
  for (const auto& entry : plan.go) add(dry_run ? "goes" : "deleted", entry);
  for (const auto& entry : plan.stay) add("stays", entry);
  std::cout << text_table(rows, "lrlrl");
  const std::string freed = with_byte_unit(static_cast<double>(bytes_of(plan.go)));
  std::cout << (dry_run ? "Dry run: nothing was deleted. It would free " + freed : "freed " + freed)
            << "\n";
}

Json to_json(const PrunePlan& plan, bool dry_run) {
  const auto list = [](const std::vector<CheckpointEntry>& entries) {
    Json json = Json::array();
    for (const auto& entry : entries)
      json.push_back({{"folder", entry.folder.string()},
                      {"state", name_of(entry.state)},
                      {"bytes", entry.bytes}});
    return json;
  };
  return {{"dry_run", dry_run},
          {"go", list(plan.go)},
          {"stay", list(plan.stay)},
          {"bytes_freed", bytes_of(plan.go)}};
}

void run_prune(const PruneOptions& options) {
  const auto run = run_of(options.run);
  const auto retention = retention_of(options, run);
  std::optional<RunFolder> lock;
  if (!options.dry_run) lock.emplace(run);
  const auto pruned = plan(run, retention);
  check_what_stays(pruned);
  if (!options.dry_run) {
    for (const auto& entry : pruned.go) delete_checkpoint(entry.folder);
  }
  if (options.json) {
    std::cout << to_json(pruned, options.dry_run).dump(2) << "\n";
  } else {
    print(pruned, options.dry_run);
  }
}

}  // namespace

void add_checkpoint_prune_command(CLI::App& checkpoint) {
  CLI::App* command = checkpoint.add_subcommand(
      "prune", "Delete the checkpoints that need not stay, and what interrupted saves left behind");
  const auto options = std::make_shared<PruneOptions>();
  command->add_option("RUN", options->run, "Run folder, or the folder checkpoints in it")
      ->required();
  command
      ->add_option("--keep-last", options->keep_last,
                   "So many of the newest stay; default: the run's checkpoint.keep_last")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  command
      ->add_option("--keep-every", options->keep_every,
                   "Those of steps that are a multiple of N stay, 0 for none; default: the run's "
                   "checkpoint.keep_every")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N");
  command
      ->add_option("--keep-best", options->keep_best,
                   "So many of those with the lowest validation loss stay, 0 for none; default: "
                   "the run's checkpoint.keep_best")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N");
  command->add_flag("--dry-run", options->dry_run, "Print what would go, delete nothing");
  command->add_flag("--json", options->json, "Print JSON");
  command->footer(
      "The newest checkpoint always stays. Refused while a process trains in the run folder.\n"
      "Example: zebra checkpoint prune runs/tiny --keep-last 1 --keep-best 1 --dry-run");
  command->callback([options] { run_prune(*options); });
}

}  // namespace zebra
