#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "base/message.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/folder.h"
#include "cli/command_line.h"
#include "cli/shared_options.h"
#include "cli/training_job.h"
#include "config/load.h"
#include "distributed/job.h"
#include "plan/plan.h"
#include "train/resume.h"
#include "train/run_folder.h"
#include "train/stop_signal.h"
#include "train/trainer.h"

namespace zebra {
namespace {

struct TrainOptions {
  RunFileOptions run_files;
  std::string resume = "auto";
  std::int64_t stop_after = 0;
  bool dry_run = false;
};

// What a start needs, opened and checked; nothing is written yet.
struct Start : TrainingInputs {
  using TrainingInputs::operator=;

  std::optional<Checkpoint> checkpoint;
  std::vector<std::string> changes;  // of the configuration since the checkpoint
  std::vector<DamagedCheckpoint> passed_over;
  std::optional<Checkpoint> origin;   // of the first weights: model.init_from
  std::vector<std::string> warnings;  // of the data
};

void find_checkpoint_to_resume(Start& start, const TrainOptions& options, Job& job) {
  auto point = find_resume_point(start.config, options.resume, job);
  start.passed_over = std::move(point.passed_over);
  job.together("opening the checkpoint", [&] {
    if (point.checkpoint) {
      start.checkpoint.emplace(*point.checkpoint);
      start.changes = check_resumable(
          *start.checkpoint, start.config,
          {fingerprints_of(start.data->sources()), fingerprints_of(start.validation)});
    } else if (const auto& origin = start.config.model.init_from; !origin.empty()) {
      start.origin.emplace(find_checkpoint(origin.string()));
    }
  });
}

RunFacts facts_of(const Start& start) {
  RunFacts facts = run_facts(start.config);
  for (const auto& source : start.data->sources())
    facts.emplace_back("dataset " + source->path().string(), source->fingerprint());
  for (const auto& dataset : start.validation)
    facts.emplace_back("dataset " + dataset->path().string(), dataset->fingerprint());
  return facts;
}

// Of a checkpoint beyond train.max_steps; empty where steps are left, or none is wanted.
std::string beyond_the_end(const Start& start) {
  const auto last = start.config.train.max_steps;
  if (!start.checkpoint || start.checkpoint->step() <= last) return "";
  return "train.max_steps is " + std::to_string(last) + ", but the checkpoint is of step " +
         std::to_string(start.checkpoint->step()) +
         ": nothing is left to train; raise train.max_steps to go on";
}

std::string beginning(const Start& start) {
  if (start.checkpoint) return "go on from " + start.checkpoint->folder().string();
  const std::string where = " in " + start.config.run.dir.string();
  if (start.origin) return "start from the weights of " + start.origin->folder().string() + where;
  return "start from scratch" + where;
}

void print_dry_run(const Start& start, int ranks) {
  const auto& config = start.config;
  const auto& data = *start.data;
  std::cout << to_yaml(config) << "\n" << to_text(make_plan(config, ranks));
  std::cout << data_table(data);
  for (const auto& warning : repetition_warnings(data)) std::cout << "warning: " << warning << "\n";
  for (const auto& [folder, faults] : start.passed_over) std::cout << join(faults, "\n") << "\n";
  if (const auto fault = beyond_the_end(start); !fault.empty()) std::cout << fault << "\n";
  std::cout << "\nDry run: nothing was written. It would " << beginning(start) << ".\n";
}

// Whatever ended the run, its own error is what the user must see.
void record_failure(RunFolder& folder, const std::string& reason) {
  CheckpointPlace newest{0, ""};
  try {
    const auto places = list_checkpoints(folder.path());
    if (!places.empty()) newest = places.back();
  } catch (const InputError& error) {
    log_error(error.what());
  }
  folder.set_status(RunState::failed, newest.step, reason, newest.folder);
}

// From here on nothing refuses the run: it may write.
void open_run_folder(const RunFolder& folder, const Start& start, int ranks) {
  open_log_file(folder.path() / "train.log");
  for (const auto& [damaged, faults] : start.passed_over) {
    for (const auto& fault : faults) log_error(fault);
    log_error("set aside as " + set_aside(damaged).string() +
              ": it is damaged; remove it when it is of no use any more");
  }
  if (start.checkpoint) log_info("going on from " + start.checkpoint->folder().string());
  if (start.origin) log_info("starting from the weights of " + start.origin->folder().string());
  for (const auto& change : start.changes) log_info("changed since the checkpoint: " + change);
  for (const auto& warning : start.warnings) log_warning(warning);
  if (const auto fault = beyond_the_end(start); !fault.empty()) log_warning(fault);
  folder.remove_partial_files();
  remove_partial_checkpoints(folder.path());
  folder.describe(start.config);
  folder.add_start({start.checkpoint ? start.checkpoint->step() : 0, ranks, start.changes});
}

// What a model that does not fit needs, and what to do.
std::string memory_advice(const Config& config, int ranks) {
  const auto bytes = make_plan(config, ranks).state.total();
  return " while the model is made: its training takes " +
         with_byte_unit(static_cast<double>(bytes)) +
         " on each rank beside activations (`zebra plan`); train a smaller one, on more ranks with "
         "parallel.sharding, or on a machine with more memory";
}

TrainOutcome train(Start& start, const TrainOptions& options, Job& job) {
  std::optional<RunFolder> folder;
  job.together("locking the run folder", [&] {
    folder.emplace(start.config.run.dir,
                   job.is_first() ? RunFolder::Role::owner : RunFolder::Role::follower);
  });
  find_checkpoint_to_resume(start, options, job);
  job.set_timeout(start.config.parallel.first_step_timeout);
  start.warnings = repetition_warnings(*start.data);
  std::optional<Trainer> trainer;  // lives on in the handler
  bool is_running = false;
  try {
    trainer.emplace(start.config, *start.tokenizer, std::move(*start.data),
                    std::move(start.validation), *folder, job);
    job.together("loading the checkpoint", [&] {
      if (start.checkpoint) trainer->resume(*start.checkpoint);
      if (start.origin) trainer->start_from(*start.origin);
    });
    if (job.is_first()) open_run_folder(*folder, start, job.ranks());
    // Their mapped files would take disk space even after they are pruned.
    start.checkpoint.reset();
    start.origin.reset();
    job.set_failure_record(folder->path(), [&folder](const std::string& message) {
      record_failure(*folder, message);
    });
    is_running = true;
    const auto outcome = trainer->run(options.stop_after);
    job.finish();
    return outcome;
  } catch (const std::exception& error) {
    if (is_running && job.ranks() == 1) record_failure(*folder, failure_text(error));
    if (trainer || !is_out_of_memory(error)) end_job_or_throw(job);
    try {
      throw RunError(failure_text(error) + memory_advice(start.config, job.ranks()));
    } catch (const RunError&) {
      end_job_or_throw(job);
    }
  }
}

int exit_status(TrainOutcome outcome) {
  if (outcome == TrainOutcome::finished) return kExitDone;
  return outcome == TrainOutcome::stopped ? kExitStopped : kExitFailed;
}

constexpr std::string_view kStopping =
    "\nstopping after this step, saving; Ctrl-C again: at once, without saving\n";

std::string how_to_go_on(const RunFileOptions& run_files, int ranks) {
  if (ranks > 1) return "to go on, start the ranks again in the same way";
  std::string command = "zebra train";
  for (const auto& file : run_files.files) command += " " + shell_word(file);
  for (const auto& change : run_files.overrides) command += " --set " + shell_word(change);
  return "to go on: " + command;
}

int run_train(const TrainOptions& options) {
  int status = kExitDone;
  as_rank_of_job([&](Job& job) {
    Start start;
    job.together("reading the run file",
                 [&] { start = open_training_inputs(options.run_files, job); });
    job.together("comparing what the ranks will do",
                 [&] { check_consistency(job, facts_of(start)); });
    if (options.dry_run) {
      job.together("looking at the run folder",
                   [&] { RunFolder::require_usable(start.config.run.dir); });
      find_checkpoint_to_resume(start, options, job);
      if (job.is_first()) print_dry_run(start, job.ranks());
      job.finish();
      return;
    }
    watch_stop_signals(job.is_first() ? kStopping : "");
    const auto outcome = train(start, options, job);
    status = exit_status(outcome);
    if (outcome == TrainOutcome::stopped) log_info(how_to_go_on(options.run_files, job.ranks()));
  });
  return status;
}

}  // namespace

void add_train_command(CLI::App& app, int& status) {
  CLI::App* command =
      app.add_subcommand("train", "Train the model that a run file describes, or go on with it");
  const auto options = std::make_shared<TrainOptions>();
  options->run_files.add_to(*command);
  command
      ->add_option("--resume", options->resume,
                   "auto: go on from the newest whole checkpoint in run.dir; never: refuse to; "
                   "PATH: go on from there")
      ->type_name("auto|never|PATH")
      ->capture_default_str();
  add_number(*command, "--stop-after", &options->stop_after, at_least(1),
             "Save after this step and end", "STEP");
  command->add_flag(
      "--dry-run", options->dry_run,
      "Check everything, print the resolved configuration and the plan, write nothing");
  command->footer(
      "Ends with 0 when done, 75 when a signal stopped it after saving (start it again to go on).\n"
      "Example: zebra train run.yaml --set optimizer.lr=5e-4");
  command->callback([options, &status] { status = run_train(*options); });
}

}  // namespace zebra
