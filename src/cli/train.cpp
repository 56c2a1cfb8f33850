#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/folder.h"
#include "cli/commands.h"
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
  std::optional<Checkpoint> origin;  // of the first weights: model.init_from
};

void find_checkpoint_to_resume(Start& start, const TrainOptions& options, Job& job) {
  auto point = find_resume_point(start.config, options.resume, job);
  start.passed_over = std::move(point.passed_over);
  job.together("opening the checkpoint", [&] {
    if (point.checkpoint) {
      start.checkpoint.emplace(*point.checkpoint);
      start.changes = check_resumable(start.checkpoint->config(), start.config,
                                      /*same_run=*/options.resume == "auto");
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
  std::cout << "\nData\n";
  for (std::size_t s = 0; s < data.sources().size(); ++s) {
    std::cout << "  " << data.sources()[s]->path().string() << ": " << data.sources()[s]->tokens()
              << " tokens, share " << data.weights()[s] << "\n";
  }
  const double epochs =
      static_cast<double>(config.train.max_steps * config.train.global_batch_size *
                          config.data.sequence_length) /
      static_cast<double>(data.tokens());
  std::cout << "  the run reads " << epochs << " times as many tokens as there are\n";
  for (const auto& [folder, faults] : start.passed_over) std::cout << join(faults, "\n") << "\n";
  std::cout << "\nDry run: nothing was written. It would " << beginning(start) << ".\n";
}

// Whatever ended the run, its own error is what the user must see.
void record_failure(const RunFolder& folder, const std::string& reason) {
  try {
    CheckpointPlace newest{0, ""};
    try {
      const auto places = list_checkpoints(folder.path());
      if (!places.empty()) newest = places.back();
    } catch (const InputError& error) {
      log_error(error.what());
    }
    folder.set_status(RunState::failed, newest.step, reason, newest.folder);
  } catch (const std::exception& error) {
    log_error(std::string("status.json still says something else: ") + error.what());
  }
}

// From here on nothing refuses the run: it may write.
void open_run_folder(const RunFolder& folder, const Start& start) {
  open_log_file(folder.path() / "train.log");
  for (const auto& [damaged, faults] : start.passed_over) {
    for (const auto& fault : faults) log_error(fault);
    log_error("set aside as " + set_aside(damaged).string() +
              ": it is damaged; remove it when it is of no use any more");
  }
  if (start.checkpoint) log_info("going on from " + start.checkpoint->folder().string());
  if (start.origin) log_info("starting from the weights of " + start.origin->folder().string());
  for (const auto& change : start.changes) log_info("changed since the checkpoint: " + change);
  folder.remove_partial_files();
  remove_partial_checkpoints(folder.path());
  folder.describe(start.config);
}

TrainOutcome train(Start& start, const TrainOptions& options, Job& job) {
  std::optional<RunFolder> folder;
  job.together("locking the run folder", [&] {
    folder.emplace(start.config.run.dir,
                   job.is_first() ? RunFolder::Role::owner : RunFolder::Role::follower);
  });
  find_checkpoint_to_resume(start, options, job);
  job.set_timeout(start.config.parallel.first_step_timeout);
  std::optional<Trainer> trainer;  // lives on in the handler
  bool is_running = false;
  try {
    trainer.emplace(start.config, *start.tokenizer, std::move(*start.data),
                    std::move(start.validation), *folder, job);
    job.together("loading the checkpoint", [&] {
      if (start.checkpoint) trainer->resume(*start.checkpoint);
      if (start.origin) trainer->start_from(*start.origin);
    });
    if (job.is_first()) open_run_folder(*folder, start);
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
    if (is_running && job.ranks() == 1) record_failure(*folder, without_backtrace(error.what()));
    end_job_or_throw(job);
  }
}

int exit_status(TrainOutcome outcome) {
  switch (outcome) {
    case TrainOutcome::finished:
      return kExitDone;
    case TrainOutcome::stopped:
      return kExitStopped;
    case TrainOutcome::diverged:
      break;
  }
  return kExitFailed;
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
    watch_stop_signals();
    status = exit_status(train(start, options, job));
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
  command->add_option("--stop-after", options->stop_after, "Save after this step and end")
      ->type_name("STEP")
      ->check(CLI::PositiveNumber);
  command->add_flag(
      "--dry-run", options->dry_run,
      "Check everything, print the resolved configuration and the plan, write nothing");
  command->footer(
      "Ends with 0 when done, 75 when a signal stopped it after saving (start it again to go on).\n"
      "Example: zebra train run.yaml --set train.max_steps=1000");
  command->callback([options, &status] { status = run_train(*options); });
}

}  // namespace zebra
