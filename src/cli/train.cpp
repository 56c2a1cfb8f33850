#include <iostream>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/folder.h"
#include "cli/commands.h"
#include "cli/model_vocabulary.h"
#include "cli/run_file_options.h"
#include "config/load.h"
#include "data/training_data.h"
#include "model/placement.h"
#include "train/plan.h"
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

// Everything a start would check, without writing anything.
void check_and_print(const Config& config, RunDatasets datasets, const TrainOptions& options) {
  resolve_device(config.run.device);
  const TrainingData data(config, std::move(datasets.train), /*pinned=*/false);
  const auto checkpoint = checkpoint_to_resume(config, options.resume);
  if (checkpoint)
    check_resumable(Checkpoint(*checkpoint).config(), config,
                    /*same_run=*/options.resume == "auto");
  std::cout << to_yaml(config) << "\n" << plan_text(config);
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
  std::cout << "\nDry run: nothing was written. It would "
            << (checkpoint ? "go on from " + checkpoint->string()
                           : "start from scratch in " + config.run.dir.string())
            << ".\n";
}

// Whatever ended the run, its own error is what the user must see.
void record_failure(const RunFolder& folder, const std::string& reason) {
  try {
    const auto places = list_checkpoints(folder.path());
    const auto newest = places.empty() ? CheckpointPlace{0, ""} : places.back();
    folder.set_status(RunState::failed, newest.step, reason, newest.folder);
  } catch (const std::exception& error) {
    log_error(std::string("status.json still says something else: ") + error.what());
  }
}

TrainOutcome train(const Config& config, const Tokenizer& tokenizer, RunDatasets datasets,
                   RunFolder& folder, const TrainOptions& options) {
  const auto resumed_from = checkpoint_to_resume(config, options.resume);
  std::optional<Checkpoint> checkpoint;
  std::vector<std::string> changes;
  if (resumed_from) {
    checkpoint.emplace(*resumed_from);
    changes = check_resumable(checkpoint->config(), config, /*same_run=*/options.resume == "auto");
  }
  Trainer trainer(config, tokenizer, std::move(datasets), folder);
  if (checkpoint) trainer.resume(*checkpoint);

  // Nothing refuses the run from here on: now it may write.
  open_log_file(folder.path() / "train.log");
  if (checkpoint) log_info("going on from " + checkpoint->folder().string());
  for (const auto& change : changes) log_info("changed since the checkpoint: " + change);
  folder.remove_partial_files();
  remove_partial_checkpoints(folder.path());
  folder.describe(config);
  try {
    return trainer.run(options.stop_after);
  } catch (const std::exception& error) {
    record_failure(folder, without_backtrace(error.what()));
    throw;
  }
}

int run_train(const TrainOptions& options) {
  Config config = options.run_files.load();
  const Tokenizer tokenizer(config.data.tokenizer);
  config.model.vocab_size = model_vocabulary(config.model, tokenizer);
  auto datasets = open_run_datasets(config, tokenizer);
  if (options.dry_run) {
    check_and_print(config, std::move(datasets), options);
    return kExitDone;
  }
  watch_stop_signals();
  RunFolder folder(config.run.dir);
  switch (train(config, tokenizer, std::move(datasets), folder, options)) {
    case TrainOutcome::finished:
      return kExitDone;
    case TrainOutcome::stopped:
      return kExitStopped;
    case TrainOutcome::diverged:
      break;
  }
  return kExitFailed;
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
