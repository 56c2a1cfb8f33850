#include "cli/checkpoint_fork.h"

#include <iostream>
#include <memory>
#include <optional>

#include "base/log.h"
#include "base/text.h"
#include "checkpoint/folder.h"
#include "checkpoint/fork.h"

namespace zebra {
namespace {

constexpr std::uint64_t kLongBytes = std::uint64_t{1} << 28;  // some seconds on a slow disk

struct ForkCommand {
  std::string run_or_checkpoint;
  ForkOptions options;
  bool dry_run = false;
};

void write_with_progress(const Fork& fork) {
  std::optional<ProgressBar> bar;
  std::uint64_t copied = 0;
  write_fork(fork, [&](std::uint64_t done, std::uint64_t bytes) {
    copied = done;
    if (bytes < kLongBytes) return;
    if (!bar) bar.emplace("copying " + fork.origin.string(), bytes, "bytes");
    bar->update(done);
  });
  if (bar) bar->finish(copied);
}

void print(const Fork& fork, bool dry_run) {
  const auto& config = fork.config;
  const auto step = fork.manifest.step;
  std::cout << (dry_run ? "would fork " : "forked ") << fork.origin.string() << " to "
            << config.run.dir.string() << "\n";
  for (const auto& [key, before, after] : fork.changes)
    std::cout << "  " << key << ": " << before << " -> " << after << "\n";
  std::cout << "The data go on at sample " << with_commas(step * config.train.global_batch_size)
            << ": step " << step << " x train.global_batch_size " << config.train.global_batch_size
            << ".\n";
  if (config.train.max_steps <= step) {
    std::cout << "Nothing is left to train: train.max_steps is " << config.train.max_steps
              << "; raise it with --set train.max_steps=N.\n";
  }
  if (dry_run) {
    std::cout << "Dry run: nothing was written.\n";
  } else {
    std::cout << "Train it with: zebra train " << (config.run.dir / "config.yaml").string() << "\n";
  }
}

void run_fork(const ForkCommand& command) {
  const auto fork = plan_fork(find_checkpoint(command.run_or_checkpoint), command.options);
  if (!command.dry_run) write_with_progress(fork);
  print(fork, command.dry_run);
}

}  // namespace

void add_checkpoint_fork_command(CLI::App& checkpoint) {
  CLI::App* command = checkpoint.add_subcommand(
      "fork", "Start a new run from a checkpoint of another, with other settings");
  const auto fork = std::make_shared<ForkCommand>();
  command
      ->add_option("RUN_OR_CHECKPOINT", fork->run_or_checkpoint,
                   "Run folder (RUN, RUN@step, RUN@best) or checkpoint folder")
      ->required();
  command->add_option("--output", fork->options.output, "Run folder to make")
      ->required()
      ->type_name("DIR");
  command->add_option("--name", fork->options.name, "run.name; default: the folder's name")
      ->type_name("NAME");
  command
      ->add_option("--set", fork->options.overrides,
                   "Override one key, for example --set optimizer.lr=1e-4 (repeatable)")
      ->type_name("section.key=VALUE")
      ->allow_extra_args(false);
  command->add_flag("--dry-run", fork->dry_run, "Check everything, print what would change");
  command->footer(
      "Every key may change that leaves the shapes of the tensors as they are. Weights, optimizer\n"
      "state and the step go on, and with the step the schedule and the position in the data:\n"
      "sample step x train.global_batch_size of data.train, also where the data are new.\n"
      "Example: zebra checkpoint fork runs/tiny@40 --output runs/annealed \\\n"
      "           --set schedule.type=wsd --set train.max_steps=60 --set schedule.decay_steps=20");
  command->callback([fork] { run_fork(*fork); });
}

}  // namespace zebra
