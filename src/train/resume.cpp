#include "train/resume.h"

#include <algorithm>
#include <ranges>

#include "base/error.h"
#include "base/message.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/folder.h"
#include "checkpoint/fork.h"
#include "checkpoint/verification.h"
#include "config/load.h"
#include "train/run_checkpoints.h"

namespace zebra {
namespace {

constexpr const char* kSeparator = "\n";

// The newest first, or the one that was asked for.
std::vector<std::string> candidates(const Config& config, const std::string& resume) {
  const auto places = list_checkpoints(config.run.dir);
  if (resume == "auto") {
    std::vector<std::string> newest_first;
    for (const auto& place : std::views::reverse(places))
      newest_first.push_back(place.folder.string());
    return newest_first;
  }
  if (resume == "never") {
    if (places.empty()) return {};
    throw InputError(config.run.dir.string() +
                     ": --resume never, but this run.dir holds checkpoints up to step " +
                     std::to_string(places.back().step) +
                     "; set another run.dir, or remove the folder if they are not needed");
  }
  const auto folder = find_checkpoint(resume);
  const auto step = Checkpoint(folder).step();
  if (!places.empty() && places.back().step > step) {
    throw InputError(config.run.dir.string() + ": holds a checkpoint of step " +
                     std::to_string(places.back().step) + ", newer than step " +
                     std::to_string(step) + " of --resume " + resume +
                     "; leave out --resume to go on from the newest, or set another run.dir");
  }
  return {folder.string()};
}

// Where to go on from is for one rank to find: another might see a shared folder a moment later.
std::vector<std::string> agreed_candidates(const Config& config, const std::string& resume,
                                           Job& job) {
  std::string found;
  job.together("looking for a checkpoint", [&] {
    if (job.is_first()) found = join(candidates(config, resume), kSeparator);
  });
  const auto agreed = job.broadcast(found, "the checkpoints to go on from");
  return agreed.empty() ? std::vector<std::string>{} : split(agreed, kSeparator[0]);
}

std::vector<std::string> faults_of(const std::filesystem::path& checkpoint, Job& job) {
  std::vector<std::string> own;
  job.together("verifying the checkpoint", [&] {
    own = checkpoint_faults(checkpoint, {job.rank(), job.ranks()},
                            [&](std::uint64_t, std::uint64_t) { job.begin("verifying"); });
  });
  std::vector<std::string> faults;
  for (const auto& text : job.all_gather(join(own, kSeparator), "the checkpoint's faults")) {
    if (text.empty()) continue;
    for (const auto& fault : split(text, kSeparator[0]))
      if (std::ranges::find(faults, fault) == faults.end()) faults.push_back(fault);
  }
  return faults;
}

// The datasets are the same: where they lie may differ.
template <class Source>
void take_paths(std::vector<Source>& saved, const std::vector<Source>& now) {
  for (std::size_t i = 0; i < std::min(saved.size(), now.size()); ++i) saved[i].path = now[i].path;
}

// What the run has in its checkpoint: a copy of the tokenizer, and weights that have long begun.
bool may_lie_elsewhere(const std::string& key) {
  return key == "data.tokenizer" || key == "model.init_from";
}

// A folder for the fork: the run's own where it is to be another one, which so far holds nothing
// but the lock of this start, else one beside it.
std::filesystem::path fork_folder(const Config& saved, const Config& config) {
  const auto is_free = [](const std::filesystem::path& path) {
    if (!std::filesystem::exists(std::filesystem::symlink_status(path))) return true;
    if (!std::filesystem::is_directory(path)) return false;
    return std::ranges::all_of(std::filesystem::directory_iterator(path),
                               [](const auto& entry) { return entry.path().filename() == "lock"; });
  };
  if (config.run.dir != saved.run.dir && is_free(config.run.dir)) return config.run.dir;
  for (int number = 2;; ++number) {
    const std::filesystem::path beside = config.run.dir.string() + "-" + std::to_string(number);
    if (is_free(beside)) return beside;
  }
}

// What to do about changes that a resumed run must not make.
std::string advice_on_changes(const std::filesystem::path& checkpoint, const Config& saved,
                              const Config& config) {
  const auto folder = fork_folder(saved, config);
  std::string command = "  zebra checkpoint fork " + shell_word(checkpoint.string()) +
                        " --output " + shell_word(folder.string());
  for (const auto& [key, before, after] : differences(saved, config)) {
    if (key == "run.dir" || key == "run.name" || may_lie_elsewhere(key)) continue;
    if (!may_change_in_fork(key))
      return "undo the change, or start a new run at step 1 in another run.dir";
    command += " --set " + shell_word(key + "=" + (after == "(absent)" ? "" : after));
  }
  return "undo the change, or go on from the checkpoint as a new run with these settings:\n" +
         command + "\n  zebra train " + shell_word((folder / "config.yaml").string());
}

}  // namespace

ResumePoint find_resume_point(const Config& config, const std::string& resume, Job& job) {
  ResumePoint point;
  for (const auto& candidate : agreed_candidates(config, resume, job)) {
    auto faults = faults_of(candidate, job);
    if (faults.empty()) {
      point.checkpoint = candidate;
      return point;
    }
    point.passed_over.push_back({candidate, std::move(faults)});
  }
  if (point.passed_over.empty()) return point;
  job.together("choosing a checkpoint", [&] {
    Problems problems;
    for (const auto& [folder, faults] : point.passed_over)
      for (const auto& fault : faults) problems.add(fault);
    problems.add(resume == "auto"
                     ? config.run.dir.string() +
                           ": no undamaged checkpoint is left to go on from; restore one from a "
                           "copy, or set another run.dir to start a new run"
                     : "--resume " + resume +
                           ": is damaged; name another checkpoint, or leave out --resume to go on "
                           "from the newest undamaged one in run.dir");
    problems.throw_if_any();
  });
  return point;
}

std::vector<std::string> check_resumable(Checkpoint& checkpoint, const Config& config,
                                         const DataFingerprints& data) {
  Config saved = checkpoint.config();
  const auto state = TrainingState::from_json(checkpoint.training());
  if (state.dataset_fingerprints == data.train) {
    take_paths(saved.data.train, config.data.train);
    auto& stages = saved.data.stages;
    const auto& now = config.data.stages;
    for (std::size_t i = 0; i < std::min(stages.size(), now.size()); ++i)
      take_paths(stages[i].train, now[i].train);
  }
  if (state.validation_fingerprints == data.validation)
    take_paths(saved.data.validation, config.data.validation);
  std::vector<std::string> allowed;
  Problems problems;
  for (const auto& [key, before, after] : differences(saved, config)) {
    if (may_lie_elsewhere(key)) continue;
    const std::string change = key + ": " + before + " -> " + after;
    if (may_change_on_resume(key) || key == "run.dir" || key == "run.name") {
      allowed.push_back(change);
    } else {
      problems.add("changed since the checkpoint and must not: " + change);
    }
  }
  if (problems.empty()) return allowed;
  problems.add(advice_on_changes(checkpoint.folder(), saved, config));
  throw InputError(join(problems.all(), "\n"));
}

}  // namespace zebra
