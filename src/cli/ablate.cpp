#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "ablation/advice.h"
#include "ablation/continuation.h"
#include "ablation/preparation.h"
#include "ablation/sweep_report.h"
#include "base/error.h"
#include "base/json_reader.h"
#include "base/log.h"
#include "base/message.h"
#include "cli/command_line.h"
#include "cli/shared_options.h"
#include "model/placement.h"
#include "train/stop_signal.h"

namespace zebra {
namespace {

struct Options {
  std::string sweep;
  bool dry_run = false, json = false, report = false, advise = false;
  AdviceQuestion question;
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
    if (std::ranges::count(names, name) > 0) continue;
    const auto nearest = nearest_word(name, names);
    problems.add("--arm " + name + ": there is no such arm" +
                 (nearest.empty() ? "" : "; did you mean " + nearest + "?") + " (`zebra ablate " +
                 shell_word(options.sweep) + " --dry-run` lists them)");
  }
  problems.throw_if_any();
}

bool is_chosen(const Options& options, const std::string& arm) {
  return options.arms.empty() || std::ranges::count(options.arms, arm) > 0;
}

void report(const Sweep& sweep) { log_info("the report is " + write_report(sweep).string()); }

// All that keeps a start from working, whether or not this is one.
void check_start(const Sweep& sweep, int jobs) {
  Problems problems;
  check_fit(sweep.arms, jobs, problems);
  check_data(sweep, problems);
  check_continuation(sweep, problems);
  problems.throw_if_any();
}

// The arms, what they cost, and what is left to do for each.
nlohmann::ordered_json dry_run_json(const Sweep& sweep) {
  auto json = arms_json(sweep.arms);
  for (std::size_t i = 0; i < sweep.arms.size(); ++i)
    json["arms"][i]["to_do"] = name_of(task_of(sweep, sweep.arms[i]));
  return json;
}

int run_sweep(const Sweep& sweep, const Options& options) {
  log_info(tasks_text(sweep));
  auto arms = prepare(sweep, own_program());
  std::erase_if(arms, [&](const QueuedArm& arm) { return !is_chosen(options, arm.name); });
  watch_stop_signals("\nthe arms stop after their steps, saving; again: at once, without saving\n");
  const bool on_gpu = resolve_device(sweep.arms.front().config.run.device).is_cuda();
  run_arms(arms, job_slots(options.jobs, on_gpu));
  if (options.arms.empty() && stop_signal() == 0) measure_cost(sweep, own_program());
  if (stop_signal() != 0) {
    log_info("stopped; the same command goes on");
    return kExitStopped;
  }
  if (options.arms.empty()) report(sweep);
  const auto failed = count_failed(arms);
  if (failed == 0) return kExitDone;
  log_error(std::to_string(failed) + " of " + std::to_string(arms.size()) + " arms failed");
  return kExitFailed;
}

/// What one option needs of others, beyond what the command line's parser checks.
void check_options(const Options& options) {
  Problems problems;
  if (options.json && !options.dry_run && !options.advise)
    problems.add("--json: goes with --dry-run or --advise, and prints their table as JSON");
  if (options.advise && options.question.context == 0)
    problems.add("--advise: give --context N, the length at which the model will work, in tokens");
  if (options.advise && options.question.flops == 0.0)
    problems.add("--advise: give --flops F, the FLOPs that its training may take, such as 1e18");
  problems.throw_if_any();
}

int run_ablate(const Options& options) {
  check_options(options);
  const auto sweep = load_sweep(options.sweep, vocabulary_of);
  check_arm_names(options, sweep.arms);
  if (options.advise) {
    advise(sweep, options.question, options.json);
    return kExitDone;
  }
  if (options.report) {
    report(sweep);
    return kExitDone;
  }
  if (!options.slurm.empty() && !options.dry_run) {
    Problems problems;
    check_output_path(options.slurm, "# The arms of ", problems);
    problems.throw_if_any();
    write_slurm_array(sweep, options.sweep, own_program(), options.slurm);
    std::cout << options.slurm << ": an array of " << sweep.arms.size()
              << " jobs; look at it, then: sbatch " << shell_word(options.slurm) << "\n";
    return kExitDone;
  }
  check_start(sweep, options.jobs);
  if (options.dry_run) {
    std::cout << (options.json ? json_text(dry_run_json(sweep), 2)
                               : arms_table(sweep.arms) + "\n" + tasks_text(sweep) +
                                     "\nDry run: nothing was written.\n");
    return kExitDone;
  }
  return run_sweep(sweep, options);
}

void add_advice_options(CLI::App& command, Options& options,
                        const std::vector<CLI::Option*>& others) {
  auto* advise = command.add_flag(
      "--advise", options.advise,
      "From a ladder's results: which layout, size and number of tokens to take for a context and "
      "a budget, with probabilities and what is extrapolated");
  for (auto* other : others) advise->excludes(other);
  auto& question = options.question;
  add_number(command, "--context", &question.context, at_least(1),
             "With --advise: length at which the model will work, in tokens")
      ->needs(advise);
  add_number(command, "--flops", &question.flops, above(0),
             "With --advise: FLOPs that its training may take", "F")
      ->needs(advise);
  add_number(command, "--cache", &question.cache, at_least(1),
             "With --advise: bytes that the key-value cache of one sequence may take", "BYTES")
      ->needs(advise);
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
  command->add_flag("--json", options->json, "With --dry-run or --advise: print JSON");
  add_number(*command, "--jobs", &options->jobs, at_least(1),
             "Arms at a time; each has its share of the processors, or its own GPU");
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
  add_advice_options(*command, *options, {dry_run, arm, slurm, command->get_option("--report")});
  command->footer(
      "Ends with 0 when all arms are done, 1 when some failed, 75 when a signal stopped it: the "
      "same command goes on.\n"
      "Example: zebra ablate sweep.yaml --dry-run");
  command->callback([options, &status] { status = run_ablate(*options); });
}

}  // namespace zebra
