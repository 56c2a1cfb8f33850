#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/json_reader.h"
#include "base/log.h"
#include "checkpoint/average.h"
#include "checkpoint/contents.h"
#include "checkpoint/fork.h"
#include "checkpoint/inventory.h"
#include "checkpoint/verification.h"
#include "cli/command_line.h"
#include "cli/shared_options.h"
#include "config/load.h"
#include "train/run_folder.h"

namespace zebra {
namespace {

constexpr std::uint64_t kLongBytes = std::uint64_t{1} << 28;  // some seconds on a slow disk

void print_json(const nlohmann::ordered_json& json) { std::cout << json_text(json, 2); }

void add_run_argument(CLI::App& command, std::string& value) {
  command.add_option("RUN", value, "Run folder, or the folder checkpoints in it")->required();
}

struct ListOptions {
  std::string run;
  bool json = false;
};

void add_list(CLI::App& checkpoint) {
  CLI::App* command = checkpoint.add_subcommand(
      "list", "What is in a run's folder of checkpoints, as far as names and sizes tell");
  const auto options = std::make_shared<ListOptions>();
  add_run_argument(*command, options->run);
  add_json_flag(*command, options->json);
  command->footer("Example: zebra checkpoint list runs/tiny");
  command->callback([options] {
    const auto inventory = take_inventory(run_of(options->run));
    if (options->json) return print_json(inventory_json(inventory));
    std::cout << inventory_text(inventory);
  });
}

struct VerifyOptions {
  std::vector<std::string> paths;
  bool json = false;
};

/// A checkpoint to verify, as it was found.
struct Subject {
  std::filesystem::path folder;
  bool had_manifest;
};

std::vector<Subject> subjects_of(const std::vector<std::string>& paths) {
  Problems problems;
  std::vector<Subject> subjects;
  for (const auto& path : paths) {
    try {
      for (const auto& folder : checkpoints_at(path))
        subjects.push_back({folder, has_manifest(folder)});
    } catch (const InputError& error) {
      problems.add(error.what());
    }
  }
  problems.throw_if_any();
  return subjects;
}

Verification verify_with_bar(const Subject& subject) {
  ProgressBars bars("bytes", kLongBytes);
  return verify_checkpoint(subject.folder, subject.had_manifest,
                           [&](std::uint64_t done, std::uint64_t bytes) {
                             bars.update("verifying " + subject.folder.string(), done, bytes);
                           });
}

int run_verify(const VerifyOptions& options) {
  const auto subjects = subjects_of(options.paths);
  auto json = nlohmann::ordered_json::array();
  std::size_t broken = 0;
  Problems unknown;
  for (const auto& subject : subjects) {
    const auto result = verify_with_bar(subject);
    if (result.outcome == VerificationOutcome::broken) ++broken;
    if (result.outcome == VerificationOutcome::unknown) unknown.add(result.reasons.front());
    if (options.json) {
      json.push_back(verification_json(result));
    } else {
      std::cout << verification_text(result) << std::flush;
    }
  }
  if (options.json) print_json(json);
  if (broken > 0) {
    std::cerr << "broken: " << broken << " of " << subjects.size() << " checkpoints" << std::endl;
    return kExitFailed;
  }
  unknown.throw_if_any();
  return kExitDone;
}

void add_verify(CLI::App& checkpoint, int& status) {
  CLI::App* command = checkpoint.add_subcommand(
      "verify", "Read every file of checkpoints and compare it with what was written");
  const auto options = std::make_shared<VerifyOptions>();
  command
      ->add_option("RUN_OR_CHECKPOINT", options->paths,
                   "Run folder (all its checkpoints), RUN@step, RUN@best, or a checkpoint folder")
      ->required();
  add_json_flag(*command, options->json);
  command->footer(
      "Ends with 0 when all are whole, 1 when one is broken (each file is named), 2 when one is\n"
      "not there or cannot be read.\n"
      "Example: zebra checkpoint verify runs/tiny");
  command->callback([options, &status] { status = run_verify(*options); });
}

struct ShowOptions {
  std::string run_or_checkpoint;
  bool tensors = false;
  bool json = false;
};

void add_show(CLI::App& checkpoint) {
  CLI::App* command =
      checkpoint.add_subcommand("show", "What a checkpoint holds: model, training state, files");
  const auto options = std::make_shared<ShowOptions>();
  add_checkpoint_argument(*command, options->run_or_checkpoint);
  command->add_flag("--tensors", options->tensors, "Also every tensor with its shape");
  add_json_flag(*command, options->json);
  command->footer("Example: zebra checkpoint show runs/tiny@best --tensors");
  command->callback([options] {
    const auto contents = read_checkpoint_contents(options->run_or_checkpoint);
    if (options->json) return print_json(contents_json(contents, options->tensors));
    std::cout << contents_text(contents, options->tensors);
  });
}

struct PruneOptions {
  std::string run;
  std::optional<std::int64_t> keep_last, keep_every, keep_best;
  bool dry_run = false;
  bool json = false;
};

/// What is given, and for the rest the run's own settings.
Retention retention_of(const PruneOptions& options, const std::filesystem::path& run) {
  CheckpointSection section;
  if (!options.keep_last || !options.keep_every || !options.keep_best)
    section = load_run_file({run / "config.yaml"}, {}).checkpoint;
  return {options.keep_last.value_or(section.keep_last),
          options.keep_every.value_or(section.keep_every),
          options.keep_best.value_or(section.keep_best)};
}

void run_prune(const PruneOptions& options) {
  const auto run = run_of(options.run);
  const auto retention = retention_of(options, run);
  std::optional<RunFolder> lock;
  if (!options.dry_run) lock.emplace(run);
  const auto plan = plan_prune(run, retention);
  if (!options.dry_run) prune(plan);
  if (options.json) return print_json(prune_json(plan, options.dry_run));
  std::cout << prune_text(plan, options.dry_run);
}

void add_prune(CLI::App& checkpoint) {
  CLI::App* command = checkpoint.add_subcommand(
      "prune", "Delete the checkpoints that need not stay, and what interrupted saves left behind");
  const auto options = std::make_shared<PruneOptions>();
  add_run_argument(*command, options->run);
  add_number(*command, "--keep-last", &options->keep_last, at_least(1),
             "So many of the newest stay; default: the run's checkpoint.keep_last");
  add_number(*command, "--keep-every", &options->keep_every, at_least(0),
             "Those of steps that are a multiple of N stay, 0 for none; default: the run's "
             "checkpoint.keep_every");
  add_number(*command, "--keep-best", &options->keep_best, at_least(0),
             "So many of those with the lowest validation loss stay, 0 for none; default: the "
             "run's checkpoint.keep_best");
  command->add_flag("--dry-run", options->dry_run, "Print what would go, delete nothing");
  add_json_flag(*command, options->json);
  command->footer(
      "The newest checkpoint always stays. Refused while a process trains in the run folder.\n"
      "Example: zebra checkpoint prune runs/tiny --keep-last 1 --keep-best 1 --dry-run");
  command->callback([options] { run_prune(*options); });
}

struct ForkCommand {
  std::string run_or_checkpoint;
  ForkOptions options;
  bool dry_run = false;
};

void run_fork(const ForkCommand& command) {
  const auto fork = plan_fork(find_checkpoint(command.run_or_checkpoint), command.options);
  if (!command.dry_run) {
    ProgressBars bars("bytes", kLongBytes);
    write_fork(fork, [&](std::uint64_t done, std::uint64_t bytes) {
      bars.update("copying " + fork.origin.string(), done, bytes);
    });
  }
  std::cout << fork_text(fork, !command.dry_run);
}

void add_fork(CLI::App& checkpoint) {
  CLI::App* command = checkpoint.add_subcommand(
      "fork", "Start a new run from a checkpoint of another, with other settings");
  const auto fork = std::make_shared<ForkCommand>();
  add_checkpoint_argument(*command, fork->run_or_checkpoint);
  command->add_option("--output", fork->options.output, "Run folder to make")
      ->required()
      ->type_name("DIR");
  command->add_option("--name", fork->options.name, "run.name; default: the folder's name")
      ->type_name("NAME");
  add_override_option(*command, fork->options.overrides, "optimizer.lr=1e-4");
  command->add_flag("--dry-run", fork->dry_run, "Check everything, print what would change");
  command->footer(
      "Every key may change that leaves the shapes of the tensors as they are. Weights, optimizer\n"
      "state and the step go on, and with the step the schedule and the position in the data:\n"
      "sample step x train.global_batch_size of data.train, also where the data are new.\n"
      "Example: zebra checkpoint fork runs/tiny@40 --output runs/annealed \\\n"
      "           --set schedule.type=wsd --set train.max_steps=60 --set schedule.decay_steps=20");
  command->callback([fork] { run_fork(*fork); });
}

struct AverageCommand {
  std::vector<std::string> paths;
  std::optional<std::int64_t> last;
  std::filesystem::path output;
};

void run_average(const AverageCommand& command) {
  const auto average = plan_average(command.paths, command.last, command.output);
  {
    ProgressBars bars("bytes", kLongBytes);
    write_average(average, [&](const std::string& part, std::uint64_t done, std::uint64_t bytes) {
      bars.update(part, done, bytes);
    });
  }
  std::cout << average_text(average);
}

void add_average(CLI::App& checkpoint) {
  CLI::App* command = checkpoint.add_subcommand(
      "average", "Write the mean of the weights of several checkpoints as a checkpoint of its own");
  const auto average = std::make_shared<AverageCommand>();
  command
      ->add_option("RUN_OR_CHECKPOINT", average->paths,
                   "Checkpoints of one model: RUN (its newest), RUN@step, RUN@best, or folders; "
                   "or one run, with --last")
      ->required();
  add_number(*command, "--last", &average->last, at_least(2),
             "The newest so many whole checkpoints of the run");
  command->add_option("--output", average->output, "New checkpoint folder")
      ->required()
      ->type_name("DIR");
  command->footer(
      "float32 weights, summed in float64, rounded once. What is written has no optimizer state:\n"
      "it is for eval, generate, export, and model.init_from in a run file.\n"
      "Example: zebra checkpoint average runs/tiny --last 3 --output runs/tiny-mean");
  command->callback([average] { run_average(*average); });
}

}  // namespace

void add_checkpoint_command(CLI::App& app, int& status) {
  auto* checkpoint = app.add_subcommand(
      "checkpoint", "Lists, verifies, shows, prunes, forks and averages checkpoints");
  checkpoint->require_subcommand(1);
  add_list(*checkpoint);
  add_verify(*checkpoint, status);
  add_show(*checkpoint);
  add_prune(*checkpoint);
  add_fork(*checkpoint);
  add_average(*checkpoint);
}

}  // namespace zebra
