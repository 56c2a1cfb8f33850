#include "train/resume.h"

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/folder.h"
#include "config/load.h"

namespace zebra {

std::optional<std::filesystem::path> checkpoint_to_resume(const Config& config,
                                                          const std::string& resume) {
  const auto places = list_checkpoints(config.run.dir);
  if (resume == "auto") {
    if (places.empty()) return std::nullopt;
    return places.back().folder;
  }
  if (resume == "never") {
    if (places.empty()) return std::nullopt;
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
  return folder;
}

std::vector<std::string> check_resumable(const Config& saved, const Config& config, bool same_run) {
  std::vector<std::string> allowed;
  Problems problems;
  for (const auto& [key, before, after] : differences(saved, config)) {
    if (key == "data.tokenizer")
      continue;  // the checkpoint names its own copy; datasets pin the tokenizer by its hash
    const bool names_run = key == "run.dir" || key == "run.name";
    const std::string change = key + ": " + before + " -> " + after;
    if (may_change_on_resume(key) || (names_run && !same_run)) {
      allowed.push_back(change);
    } else {
      problems.add("changed since the checkpoint and must not: " + change);
    }
  }
  if (!problems.empty()) {
    problems.add("undo the change, or set another run.dir to start a new run");
    problems.throw_if_any();
  }
  return allowed;
}

}  // namespace zebra
