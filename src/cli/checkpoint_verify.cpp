#include "cli/checkpoint_verify.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/system.h"
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

enum class Outcome {
  whole,
  broken,
  unknown,  ///< it cannot be read
  deleted,  ///< meanwhile, by the run, which trains on
};

struct Verdict {
  std::filesystem::path folder;
  Outcome outcome = Outcome::whole;
  std::vector<std::string> reasons;  ///< of broken and unknown
  std::uint64_t bytes = 0;
  double seconds = 0;
};

/// A checkpoint to verify, as it was found.
struct Subject {
  std::filesystem::path folder;
  bool had_manifest;
};

bool has_manifest(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::exists(folder / Manifest::kFileName, ignored);
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

Verdict verify(const Subject& subject) {
  const auto& folder = subject.folder;
  Verdict verdict;
  verdict.folder = folder;
  std::optional<ProgressBar> bar;
  const double began = monotonic_seconds();
  try {
    verdict.reasons = checkpoint_faults(folder, {}, [&](std::uint64_t done, std::uint64_t bytes) {
      verdict.bytes = done;
      if (bytes < kLongBytes) return;
      if (!bar) bar.emplace("verifying " + folder.string(), bytes, "bytes");
      bar->update(done);
    });
    verdict.outcome = verdict.reasons.empty() ? Outcome::whole : Outcome::broken;
  } catch (const InputError& error) {
    verdict.reasons = {error.what()};
    verdict.outcome = Outcome::unknown;
  }
  if (bar) bar->finish(verdict.bytes);
  verdict.seconds = monotonic_seconds() - began;
  // A run's deletion begins with the manifest.
  if (verdict.outcome != Outcome::whole && subject.had_manifest && !has_manifest(folder)) {
    verdict.outcome = Outcome::deleted;
    verdict.reasons.clear();
  }
  return verdict;
}

const char* name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::whole:
      return "OK";
    case Outcome::broken:
      return "BROKEN";
    case Outcome::unknown:
      return "UNKNOWN";
    case Outcome::deleted:
      break;
  }
  return "DELETED";
}

void print(const Verdict& verdict) {
  std::printf("%-7s  %s", name_of(verdict.outcome), verdict.folder.c_str());
  if (verdict.outcome == Outcome::whole) {
    std::printf("  %s in %s s", with_byte_unit(static_cast<double>(verdict.bytes)).c_str(),
                fixed(verdict.seconds, 1).c_str());
  }
  std::printf("\n");
  for (const auto& reason : verdict.reasons) std::printf("         %s\n", reason.c_str());
  std::fflush(stdout);
}

Json to_json(const Verdict& verdict) {
  return {{"checkpoint", verdict.folder.string()},
          {"outcome", name_of(verdict.outcome)},
          {"bytes", verdict.bytes},
          {"seconds", verdict.seconds},
          {"reasons", verdict.reasons}};
}

std::vector<Subject> subjects_of(const std::vector<std::string>& paths) {
  Problems problems;
  std::vector<Subject> subjects;
  for (const auto& path : paths) {
    try {
      for (const auto& folder : folders_of(path))
        subjects.push_back({folder, has_manifest(folder)});
    } catch (const InputError& error) {
      problems.add(error.what());
    }
  }
  problems.throw_if_any();
  return subjects;
}

int run_verify(const VerifyOptions& options) {
  const auto subjects = subjects_of(options.paths);
  Json json = Json::array();
  std::size_t broken = 0;
  Problems unknown;
  for (const auto& subject : subjects) {
    const auto verdict = verify(subject);
    if (verdict.outcome == Outcome::broken) ++broken;
    if (verdict.outcome == Outcome::unknown) unknown.add(verdict.reasons.front());
    if (options.json) {
      json.push_back(to_json(verdict));
    } else {
      print(verdict);
    }
  }
  if (options.json) std::cout << json.dump(2) << "\n";
  if (broken > 0) {
    std::cerr << "broken: " << broken << " of " << subjects.size() << " checkpoints" << std::endl;
    return kExitFailed;
  }
  unknown.throw_if_any();
  return kExitDone;
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
