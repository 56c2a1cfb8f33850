#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "ablation/arm_queue.h"
#include "ablation/arms.h"
#include "ablation/arms_table.h"
#include "ablation/fit.h"
#include "ablation/preparation.h"
#include "ablation/results.h"
#include "ablation/slurm_array.h"
#include "base/error.h"
#include "base/log.h"
#include "cli/commands.h"
#include "model/placement.h"
#include "train/stop_signal.h"

namespace zebra {
namespace {

struct Options {
  std::string sweep;
  bool dry_run = false, json = false, report = false;
  int jobs = 1;
  std::vector<std::string> arms;
  std::string slurm;
};

std::int64_t vocabulary_of(const RunFile& file) {
  return Tokenizer(file.data.tokenizer).vocab_size();
}

void check_arm_names(const Options& options, const std::vector<Arm>& arms) {
  Problems problems;
  std::vector<std::string> names;
  for (const auto& arm : arms) names.push_back(arm.name);
  for (const auto& name : options.arms) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    const auto nearest = nearest_word(name, names);
    problems.add("--arm " + name + ": there is no such arm" +
                 (nearest.empty() ? "" : "; did you mean " + nearest + "?") + " (`zebra ablate " +
                 options.sweep + " --dry-run` lists them)");
  }
  problems.throw_if_any();
}

Ablation load(const Options& options) {
  const auto ablation = load_ablation(options.sweep, vocabulary_of);
  check_arm_names(options, ablation.arms);
  return ablation;
}

bool is_chosen(const Options& options, const std::string& arm) {
  return options.arms.empty() ||
         std::find(options.arms.begin(), options.arms.end(), arm) != options.arms.end();
}

// Each job has its share of the processors, and a GPU of its own where arms run on GPUs.
JobSlots job_slots(const Ablation& ablation, int jobs) {
  JobSlots slots(static_cast<std::size_t>(jobs));
  if (jobs == 1) return slots;
  const bool on_gpu = resolve_device(ablation.arms.front().config.run.device).is_cuda();
  const auto threads =
      std::max(1U, std::thread::hardware_concurrency() / static_cast<unsigned>(jobs));
  for (std::size_t job = 0; job < slots.size(); ++job) {
    if (std::getenv("OMP_NUM_THREADS") == nullptr)
      slots[job].emplace_back("OMP_NUM_THREADS", std::to_string(threads));
    if (on_gpu) slots[job].emplace_back("CUDA_VISIBLE_DEVICES", std::to_string(job));
  }
  return slots;
}

int exit_status(const std::vector<QueuedArm>& arms) {
  const auto failed = std::count_if(arms.begin(), arms.end(), [](const QueuedArm& arm) {
    return read_arm_status(arm.paths).state == ArmState::failed;
  });
  if (failed > 0)
    log_error(std::to_string(failed) + " of " + std::to_string(arms.size()) + " arms failed");
  return failed > 0 ? kExitFailed : kExitDone;
}

void report(const Ablation& ablation) {
  write_report(ablation);
  log_info("the report is " + (ablation.sweep.dir / "report" / "index.html").string());
}

int run_sweep(const Ablation& ablation, const Options& options) {
  check_fit(ablation.arms, options.jobs);
  auto arms = prepare(ablation, own_program());
  std::erase_if(arms, [&](const QueuedArm& arm) { return !is_chosen(options, arm.name); });
  watch_stop_signals();
  run_arms(arms, job_slots(ablation, options.jobs));
  if (options.arms.empty() && stop_signal() == 0) measure_cost(ablation, own_program());
  if (stop_signal() != 0) {
    log_info("stopped; the same command goes on");
    return kExitStopped;
  }
  if (options.arms.empty()) report(ablation);
  return exit_status(arms);
}

int run_ablate(const Options& options) {
  const auto ablation = load(options);
  if (options.dry_run) {
    check_fit(ablation.arms, options.jobs);
    std::cout << (options.json ? arms_json(ablation.arms).dump(2) + "\n"
                               : arms_table(ablation.arms) + "\nDry run: nothing was written.\n");
    return kExitDone;
  }
  if (!options.slurm.empty()) {
    write_slurm_array(ablation, options.sweep, own_program(), options.slurm);
    std::cout << options.slurm << ": an array of " << ablation.arms.size()
              << " jobs; look at it, then: sbatch " << options.slurm << "\n";
    return kExitDone;
  }
  if (options.report) {
    report(ablation);
    return kExitDone;
  }
  return run_sweep(ablation, options);
}

}  // namespace

void add_ablate_command(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand(
      "ablate", "Run all variants of a run that a sweep file describes, and compare them");
  const auto options = std::make_shared<Options>();
  command->add_option("SWEEP.yaml", options->sweep, "Sweep file (docs/ablations.md)")->required();
  auto* dry_run = command->add_flag("--dry-run", options->dry_run,
                                    "Check everything, print the arms and what they cost, write "
                                    "nothing");
  command->add_flag("--json", options->json, "With --dry-run: print JSON")->needs(dry_run);
  command
      ->add_option("--jobs", options->jobs,
                   "Arms at a time; each has its share of the processors, or its own GPU")
      ->check(CLI::PositiveNumber)
      ->type_name("N")
      ->capture_default_str();
  auto* arm =
      command->add_option("--arm", options->arms, "Only this arm, without a report (repeatable)")
          ->type_name("NAME")
          ->allow_extra_args(false);
  auto* slurm = command
                    ->add_option("--emit-slurm", options->slurm,
                                 "Write a script for Slurm, an array of one job for each arm")
                    ->type_name("FILE");
  command->add_flag("--report", options->report, "Only write the report of what there is so far")
      ->excludes(dry_run)
      ->excludes(arm)
      ->excludes(slurm);
  command->footer(
      "Ends with 0 when all arms are done, 1 when some failed, 75 when a signal stopped it: the "
      "same command goes on.\n"
      "Example: zebra ablate configs/ablations/ratio-cpu.yaml --dry-run");
  command->callback([options, &status] { status = run_ablate(*options); });
}

}  // namespace zebra
