#include "ablation/continuation.h"

#include <algorithm>
#include <map>
#include <optional>

#include "ablation/probes.h"
#include "ablation/sweep.h"
#include "ablation/sweep_folder.h"
#include "base/error.h"
#include "base/text.h"
#include "checkpoint/folder.h"
#include "config/load.h"

namespace zebra {
namespace {

ArmStatus status_of(const Sweep& sweep, const Arm& arm) {
  return read_arm_status(ArmPaths(sweep.file.dir, arm.name), goal_of(sweep, arm));
}

ArmTask task_after(const ArmStatus& status) {
  if (status.state == ArmState::finished || status.is_final) return ArmTask::nothing;
  return status.is_trained ? ArmTask::recall : ArmTask::training;
}

constexpr const char* kUndo = "; undo the change, or set another dir for the new sweep";

// Results of something else must not be written over, nor be taken for those of the sweep.
void check_own_folder(const std::filesystem::path& dir, Problems& problems) {
  if (std::filesystem::exists(dir / "arms")) return;
  for (const auto& path : {dir / "report", cost_file(dir)}) {
    if (!std::filesystem::exists(path)) continue;
    problems.add(path.string() + ": is there, but no sweep has begun in dir, " + dir.string() +
                 "; set dir to a new folder");
  }
}

// A change of data.train in the words of the sweep file, where it is one of the probes' shares.
std::string difference_text(const Sweep& sweep, const Config& begun, const Config& config,
                            const ConfigDifference& difference) {
  const auto path = probe_dataset_path(sweep.file.dir, config.data.sequence_length);
  const auto &before = begun.data.train, &after = config.data.train;
  if (difference.key == "data.train" && before.size() == after.size() &&
      before.back().path == path && after.back().path == path) {
    const auto change = [](const std::string& key, double old_value, double value) {
      return key + ": " + round_trip(old_value) + " -> " + round_trip(value);
    };
    const double old_share = before.back().weight.value_or(0.0);
    const double share = after.back().weight.value_or(0.0);
    if (old_share != share) return change("probes.training_share", old_share, share);
    const double old_weight = before.back().loss_weight, weight = after.back().loss_weight;
    if (old_weight != weight) {
      return change("probes.training_loss_share, from which follows the loss_weight of the probes",
                    old_weight, weight);
    }
  }
  return difference.key + ": " + difference.before + " -> " + difference.after;
}

// With the loss_weight of the probes: that of `begun` where they are gone, since the same will be
// written. Nothing where data cannot be used, which check_data tells.
std::optional<Config> config_of_start(const Sweep& sweep, const Arm& arm, const Config& begun) {
  auto config = arm.config;
  const auto& share = sweep.file.probes.training_loss_share;
  if (!share) return config;
  auto& probes = config.data.train.back();
  if (!std::filesystem::exists(probes.path)) {
    if (!begun.data.train.empty()) probes.loss_weight = begun.data.train.back().loss_weight;
    return config;
  }
  try {
    set_probe_loss_share(config, *share);
  } catch (const InputError&) {
    return std::nullopt;
  }
  return config;
}

void check_settings(const Sweep& sweep, const Arm& arm, const ArmPaths& paths,
                    ArmProblems& problems) {
  const auto begun = resolve(load_run_file({paths.run_file}, {}));
  const auto start = config_of_start(sweep, arm, begun);
  if (!start) return;
  const auto& config = *start;
  for (const auto& difference : differences(begun, config)) {
    if (may_change_on_resume(difference.key)) continue;
    problems.add(arm.name, "was begun with other settings: " +
                               difference_text(sweep, begun, config, difference) + kUndo);
  }
}

// What is left to do for a trained arm takes its last checkpoint.
void check_progress(const Sweep& sweep, const Arm& arm, const ArmPaths& paths,
                    ArmProblems& problems) {
  const auto steps = arm.config.train.max_steps;
  const auto trained = steps_of_finished_run(paths.run);
  if (!trained) return;
  if (*trained > steps) {
    problems.add(arm.name, "has trained " + with_commas(*trained) + " steps, more than the " +
                               with_commas(steps) + " that it has now" + kUndo);
    return;
  }
  const auto status = status_of(sweep, arm);
  if (task_after(status) == ArmTask::nothing) return;
  const auto checkpoints = list_checkpoints(paths.run);
  if (!checkpoints.empty() && checkpoints.back().step == *trained) return;
  const auto why = *trained < steps
                       ? "is to go on to step " + with_commas(steps)
                       : "has to be asked anew: " +
                             (status.reason.empty() ? "it was not measured" : status.reason);
  problems.add(arm.name, why + "; but its checkpoint of step " + with_commas(*trained) +
                             " is gone: undo the change, or remove " + paths.run.string() +
                             ", and it is trained again");
}

void check_arm(const Sweep& sweep, const Arm& arm, ArmProblems& problems) {
  const ArmPaths paths(sweep.file.dir, arm.name);
  if (!std::filesystem::exists(paths.run)) return;
  try {
    check_settings(sweep, arm, paths, problems);
    check_progress(sweep, arm, paths, problems);
  } catch (const InputError& error) {
    problems.add(arm.name, error.what());
  }
}

}  // namespace

ArmTask task_of(const Sweep& sweep, const Arm& arm) { return task_after(status_of(sweep, arm)); }

std::string tasks_text(const Sweep& sweep) {
  std::map<ArmTask, std::size_t> arms;
  std::vector<std::string> reasons;
  for (const auto& arm : sweep.arms) {
    const auto status = status_of(sweep, arm);
    const auto task = task_after(status);
    ++arms[task];
    const bool is_told = std::ranges::count(reasons, status.reason) > 0;
    if (task == ArmTask::recall && !status.reason.empty() && !is_told)
      reasons.push_back(status.reason);
  }
  const auto count = [](std::size_t number) {
    return std::to_string(number) + (number == 1 ? " arm" : " arms");
  };
  std::vector<std::string> parts;
  if (const auto number = arms[ArmTask::training]) parts.push_back("train " + count(number));
  if (const auto number = arms[ArmTask::recall]) {
    parts.push_back("measure the recall of " + count(number) +
                    (reasons.empty() ? "" : " (" + join(reasons, "; ") + ")"));
  }
  if (parts.empty()) parts.emplace_back("nothing");
  const auto over = arms[ArmTask::nothing];
  return "to do: " + join(parts, ", ") +
         (over == 0 ? "" : "; " + count(over) + (over == 1 ? " is over" : " are over"));
}

void check_continuation(const Sweep& sweep, Problems& problems) {
  check_own_folder(sweep.file.dir, problems);
  for (const auto& [path, options] : training_probes(sweep))
    check_training_probes(options, problems);
  ArmProblems of_arms;
  for (const auto& arm : sweep.arms) check_arm(sweep, arm, of_arms);
  of_arms.add_to(problems);
}

}  // namespace zebra
