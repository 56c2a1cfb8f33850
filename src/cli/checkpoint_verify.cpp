#include "cli/checkpoint_verify.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/exit_status.h"
#include "base/file.h"
#include "base/progress.h"
#include "base/text.h"
#include "checkpoint/folder.h"
#include "checkpoint/verification.h"
#include "cli/checkpoint_entries.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kLongBytes = std::uint64_t{1} << 28;  // some seconds on a slow disk

struct VerifyOptions {
  std::vector<std::string> paths;
  bool json = false;
};

struct Verdict {
  std::filesystem::path folder;
  std::vector<std::string> faults;
  std::string obstacle;  ///< why it cannot be verified; empty: it was
  std::uint64_t bytes = 0;
  double seconds = 0;

  bool is_whole() const { return faults.empty() && obstacle.empty(); }
};

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
  std::error_code ignored;
  return std::filesystem::is_directory(folder / "checkpoints", ignored) ||
         folder_path(folder).filename() == "checkpoints";
}

/// The checkpoints that a path names: all of a run, else one.
std::vector<std::filesystem::path> folders_of(const std::string& path) {
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

Verdict verify(const std::filesystem::path& folder) {
  Verdict verdict{folder, {}, "", 0, 0.0};
  std::optional<ProgressBar> bar;
  const double began = monotonic_seconds();
  try {
    verdict.faults = checkpoint_faults(folder, {}, [&](std::uint64_t done, std::uint64_t bytes) {
      verdict.bytes = done;
      if (bytes < kLongBytes) return;
      if (!bar) bar.emplace("verifying " + folder.string(), bytes, "bytes");
      bar->update(done);
    });
  } catch (const InputError& error) {
    verdict.obstacle = error.what();
  }
  if (bar) bar->finish(verdict.bytes);
  verdict.seconds = monotonic_seconds() - began;
  return verdict;
}

void print(const Verdict& verdict) {
  const char* words = verdict.is_whole() ? "OK" : verdict.faults.empty() ? "UNKNOWN" : "BROKEN";
  std::printf("%-7s  %s", words, verdict.folder.c_str());
  if (verdict.is_whole()) {
    std::printf("  %s in %s s", with_byte_unit(static_cast<double>(verdict.bytes)).c_str(),
                fixed(verdict.seconds, 1).c_str());
  }
  std::printf("\n");
  for (const auto& fault : verdict.faults) std::printf("         %s\n", fault.c_str());
  std::fflush(stdout);
}

Json to_json(const Verdict& verdict) {
  Json json = {{"checkpoint", verdict.folder.string()},
               {"whole", verdict.obstacle.empty() ? Json(verdict.faults.empty()) : Json(nullptr)},
               {"bytes", verdict.bytes},
               {"seconds", verdict.seconds},
               {"faults", verdict.faults}};
  if (!verdict.obstacle.empty()) json["obstacle"] = verdict.obstacle;
  return json;
}

int run_verify(const VerifyOptions& options) {
  Problems problems;
  std::vector<std::filesystem::path> folders;
  for (const auto& path : options.paths) {
    try {
      for (const auto& folder : folders_of(path)) folders.push_back(folder);
    } catch (const InputError& error) {
      problems.add(error.what());
    }
  }
  problems.throw_if_any();

  Json json = Json::array();
  std::size_t broken = 0;
  bool any_unknown = false;
  for (const auto& folder : folders) {
    const auto verdict = verify(folder);
    broken += verdict.faults.empty() ? 0 : 1;
    any_unknown = any_unknown || !verdict.obstacle.empty();
    if (options.json) {
      json.push_back(to_json(verdict));
    } else {
      print(verdict);
    }
    if (!verdict.obstacle.empty()) std::cerr << verdict.obstacle << std::endl;
  }
  if (options.json) std::cout << json.dump(2) << "\n";
  if (broken > 0) {
    std::cerr << "broken: " << broken << " of " << folders.size() << " checkpoints" << std::endl;
    return kExitFailed;
  }
  return any_unknown ? kExitBadInput : kExitDone;
}

}  // namespace

void add_checkpoint_verify_command(CLI::App& checkpoint, int& status) {
  CLI::App* command = checkpoint.add_subcommand(
      "verify", "Read every file of checkpoints and compare it with what was written");
  const auto options = std::make_shared<VerifyOptions>();
  command
      ->add_option("RUN_OR_CHECKPOINT", options->paths,
                   "Run folder (all its checkpoints), RUN@step, RUN@best, or a checkpoint folder")
      ->required();
  command->add_flag("--json", options->json, "Print JSON");
  command->footer(
      "Ends with 0 when all are whole, 1 when one is broken (each file is named), 2 when one is\n"
      "not there or cannot be read.\n"
      "Example: zebra checkpoint verify runs/tiny");
  command->callback([options, &status] { status = run_verify(*options); });
}

}  // namespace zebra
