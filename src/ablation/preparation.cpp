#include "ablation/preparation.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <sstream>
#include <thread>

#include "ablation/probe_loss_share.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/message.h"
#include "base/text.h"
#include "config/load.h"
#include "config/names.h"
#include "data/probe_dataset.h"
#include "data/tokenizer.h"
#include "model/placement.h"
#include "plan/plan.h"
#include "train/stop_signal.h"

namespace zebra {
namespace {

std::string bytes_text(std::int64_t bytes) { return with_byte_unit(static_cast<double>(bytes)); }

constexpr const char* kLess =
    "; make the model, train.micro_batch_size or data.sequence_length smaller, or set "
    "train.activation_checkpointing";

std::string text_of(std::int64_t number) { return std::to_string(number); }
std::string text_of(ProbeTask task) { return name_of(task); }

template <class T>
std::string list_text(const std::vector<T>& values) {
  std::vector<std::string> texts;
  for (const auto value : values) texts.push_back(text_of(value));
  return join(texts, ",");
}

// Results of something else must not be written over, nor be taken for those of the sweep.
void check_own_folder(const std::filesystem::path& dir, Problems& problems) {
  if (std::filesystem::exists(dir / "arms")) return;
  for (const auto& path : {dir / "report", cost_file(dir)}) {
    if (!std::filesystem::exists(path)) continue;
    problems.add(path.string() + ": is there, but no sweep has begun in dir, " + dir.string() +
                 "; set dir to a new folder");
  }
}

// What was written for a former start must be what this one would write.
void check_unchanged(const Sweep& sweep, Problems& problems) {
  for (const auto& arm : sweep.arms) {
    const ArmPaths paths(sweep.file.dir, arm.name);
    if (!std::filesystem::exists(paths.run)) continue;
    const auto begun = resolve(load_run_file({paths.run_file}, {}));
    for (const auto& [key, before, after] : differences(begun, arm.config)) {
      if (may_change_on_resume(key)) continue;
      problems.add("arm " + arm.name + ": was begun with other settings: " + key + ": " + before +
                   " -> " + after + "; undo the change, or set another dir for the new sweep");
    }
  }
}

ProbeDatasetOptions probe_dataset_options(const Sweep& sweep, const Config& config) {
  const auto& probes = sweep.file.probes;
  const auto length = config.data.sequence_length;
  return {.tokenizer = config.data.tokenizer,
          .output = probe_dataset_path(sweep.file.dir, length),
          .length = length,
          .bands = sweep.bands,
          .sequences = probes.training_sequences,
          .tasks = probes.training_tasks,
          .seed = static_cast<std::uint64_t>(probes.seed),
          .vocabulary = probes.vocabulary,
          .questions = probes.questions,
          .pairs = probes.pairs,
          .hops = probes.hops};
}

// The options that decide what is in the dataset.
std::string description(const ProbeDatasetOptions& options) {
  const nlohmann::ordered_json json = {{"version", kProbeVersion},
                                       {"tokenizer", Tokenizer(options.tokenizer).hash()},
                                       {"length", options.length},
                                       {"window", options.bands.window},
                                       {"layers", options.bands.layers},
                                       {"sequences", options.sequences},
                                       {"tasks", list_text(options.tasks)},
                                       {"seed", options.seed},
                                       {"keys", options.vocabulary.keys},
                                       {"values", options.vocabulary.values},
                                       {"fillers", options.vocabulary.fillers},
                                       {"questions", options.questions},
                                       {"pairs", options.pairs},
                                       {"hops", options.hops}};
  return json.dump(2) + "\n";
}

std::filesystem::path description_file(const ProbeDatasetOptions& options) {
  return options.output.string() + ".json";
}

// One for each sequence length, by where it lies.
std::map<std::filesystem::path, ProbeDatasetOptions> probe_datasets(const Sweep& sweep) {
  std::map<std::filesystem::path, ProbeDatasetOptions> datasets;
  if (sweep.file.probes.training_share == 0.0) return datasets;
  for (const auto& arm : sweep.arms) {
    const auto options = probe_dataset_options(sweep, arm.config);
    datasets.emplace(options.output, options);
  }
  return datasets;
}

void check_unchanged(const ProbeDatasetOptions& options, Problems& problems) {
  const auto file = description_file(options);
  if (!std::filesystem::exists(file)) return;
  const auto written = read_file(file);
  if (written.find("\"version\": " + std::to_string(kProbeVersion) + ",") == std::string::npos) {
    problems.add(options.output.string() +
                 ": holds training probes of another version of zebra than this one, whose probes "
                 "are others (see CHANGELOG.md), so that results would not compare; set another "
                 "dir for the new sweep, or finish this one with the version that began it");
  } else if (written != description(options)) {
    problems.add(options.output.string() +
                 ": holds training probes of other settings (the sweep's probes, compare or "
                 "tokenizer); undo the change, or set another dir for the new sweep");
  }
}

void write_missing(const ProbeDatasetOptions& options) {
  if (std::filesystem::exists(options.output)) return;
  std::filesystem::create_directories(options.output.parent_path());
  // First, so that a dataset is never without its description.
  write_file_atomically(description_file(options), description(options));
  const auto report = write_probe_dataset(options);
  log_info("wrote " + std::to_string(report.sequences) + " training probes to " +
           options.output.string());
}

// Their weight in the loss follows from the targets in the datasets, so it is not known before.
void weigh_probes(Sweep& sweep) {
  Problems problems;
  for (auto& arm : sweep.arms) {
    try {
      set_probe_loss_share(arm.config, *sweep.file.probes.training_loss_share);
    } catch (const InputError& error) {
      problems.add("arm " + arm.name + ": " + error.what());
    }
  }
  problems.throw_if_any();
  check_unchanged(sweep, problems);
  problems.throw_if_any();
}

std::vector<std::string> recall_command(const Sweep& sweep, const ArmPaths& paths, const Arm& arm,
                                        const std::filesystem::path& program) {
  const auto& probes = sweep.file.probes;
  const std::vector<std::pair<std::string, std::string>> options = {
      {"--window", std::to_string(sweep.bands.window)},
      {"--layers", std::to_string(sweep.bands.layers)},
      {"--lengths", list_text(probes.lengths)},
      {"--tasks", list_text(probes.tasks)},
      {"--items", std::to_string(probes.items)},
      {"--keys", std::to_string(probes.vocabulary.keys)},
      {"--values", std::to_string(probes.vocabulary.values)},
      {"--fillers", std::to_string(probes.vocabulary.fillers)},
      {"--questions", std::to_string(probes.questions)},
      {"--seed", std::to_string(probes.seed)},
      {"--max-tokens", std::to_string(arm.config.eval.max_tokens)},
      {"--json", paths.recall()}};
  std::vector<std::string> command = {program, "recall", paths.run};
  if (!probes.pairs.empty()) command.insert(command.end(), {"--pairs", list_text(probes.pairs)});
  if (!probes.hops.empty()) command.insert(command.end(), {"--hops", list_text(probes.hops)});
  for (const auto& [name, value] : options) command.insert(command.end(), {name, value});
  if (arm.config.checkpoint.keep_every > 0) command.emplace_back("--earlier");
  return command;
}

}  // namespace

void check_fit(const std::vector<Arm>& arms, int jobs) {
  Problems problems;
  std::vector<std::int64_t> on_cpu;
  std::int64_t memory_of_cpu = 0;
  for (const auto& arm : arms) {
    const auto device = resolve_device(arm.config.run.device);
    const auto plan = make_plan(arm.config);
    auto needed = plan.training_bytes_per_rank();
    if (device.is_cpu()) needed += plan.host_copy_bytes;
    const auto there = device_memory_bytes(device);
    if (needed > there) {
      problems.add("arm " + arm.name + ": training takes some " + bytes_text(needed) + ", but " +
                   device.str() + " has " + bytes_text(there) + kLess);
    } else if (device.is_cpu()) {
      on_cpu.push_back(needed);
      memory_of_cpu = there;
    }
  }
  std::sort(on_cpu.rbegin(), on_cpu.rend());
  on_cpu.resize(std::min(on_cpu.size(), static_cast<std::size_t>(jobs)));
  const auto together = std::accumulate(on_cpu.begin(), on_cpu.end(), std::int64_t{0});
  if (problems.empty() && together > memory_of_cpu) {
    problems.add("--jobs " + std::to_string(jobs) + ": the largest arms take some " +
                 bytes_text(together) + " together, but the machine has " +
                 bytes_text(memory_of_cpu) + "; give fewer jobs");
  }
  problems.throw_if_any();
}

std::vector<QueuedArm> prepare(Sweep sweep, const std::filesystem::path& program) {
  const auto datasets = probe_datasets(sweep);
  Problems problems;
  check_own_folder(sweep.file.dir, problems);
  for (const auto& [path, options] : datasets) check_unchanged(options, problems);
  if (!sweep.file.probes.training_loss_share) check_unchanged(sweep, problems);
  problems.throw_if_any();

  std::filesystem::create_directories(sweep.file.dir / "arms");
  for (const auto& [path, options] : datasets) write_missing(options);
  if (sweep.file.probes.training_loss_share) weigh_probes(sweep);
  std::vector<QueuedArm> queue;
  for (const auto& arm : sweep.arms) {
    const ArmPaths paths(sweep.file.dir, arm.name);
    write_file_atomically(paths.run_file, to_yaml(arm.config));
    queue.push_back(
        {arm.name,
         paths,
         {{program, "train", paths.run_file}, recall_command(sweep, paths, arm, program), {}},
         arm.config.train.max_steps});
  }
  return queue;
}

void write_slurm_array(const Sweep& sweep, const std::filesystem::path& file,
                       const std::filesystem::path& program, const std::filesystem::path& script) {
  const std::string ablate =
      shell_word(program) + " ablate " + shell_word(std::filesystem::absolute(file));
  std::vector<std::string> names;
  for (const auto& arm : sweep.arms) names.push_back(shell_word(arm.name));
  std::ostringstream text;
  text << "#!/usr/bin/env bash\n"
       << "# The arms of " << sweep.file.name << " as an array of jobs. Afterwards:\n"
       << "#   " << ablate << " --report\n"
       << "#SBATCH --job-name=" << shell_word(sweep.file.name) << "\n"
       << "#SBATCH --array=0-" << names.size() - 1 << "\n"
       << "#SBATCH --ntasks=1\n"
       << "#SBATCH --requeue\n"
       << "# Two minutes to save before the time limit; the job goes on when it is queued again.\n"
       << "#SBATCH --signal=B:TERM@120\n"
       << "# Add what your cluster wants: --partition, --time, --gpus=1, --cpus-per-task, …\n"
       << "cd " << shell_word(std::filesystem::current_path()) << "\n"
       << "arms=(" << join(names, " ") << ")\n"
       << "exec " << ablate << " --arm \"${arms[$SLURM_ARRAY_TASK_ID]}\"\n";
  write_file_atomically(script, text.str());
  std::filesystem::permissions(script, std::filesystem::perms::owner_exec,
                               std::filesystem::perm_options::add);
}

void measure_cost(const Sweep& sweep, const std::filesystem::path& program) {
  const auto& dir = sweep.file.dir;
  if (sweep.file.cost_lengths.empty()) return;
  const auto log = dir / "cost.log";
  for (const auto& run : cost_runs(sweep)) {
    if (std::filesystem::exists(run.output) || stop_signal() != 0) continue;
    log_info("measuring cost by length (" + log.string() + ")");
    ChildProcess bench({program, "bench", ArmPaths(dir, run.arm).run_file, "--lengths",
                        list_text(sweep.file.cost_lengths), "--layouts", join(run.patterns, ","),
                        "--json", run.output},
                       {}, log);
    while (!bench.has_ended()) {
      if (stop_signal() != 0) bench.send(SIGTERM);
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    if (!bench.report().is_done() && stop_signal() == 0) {
      log_warning("cost by length could not be measured (" + bench.report().text() + "): see " +
                  log.string());
    }
  }
}

}  // namespace zebra
