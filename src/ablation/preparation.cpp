#include "ablation/preparation.h"

#include <stdlib.h>  // mkdtemp

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <set>
#include <sstream>
#include <thread>

#include "ablation/probes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json_reader.h"
#include "base/log.h"
#include "base/message.h"
#include "base/text.h"
#include "config/load.h"
#include "data/tokenizer.h"
#include "data/training_data.h"
#include "model/placement.h"
#include "plan/plan.h"
#include "train/stop_signal.h"

namespace zebra {
namespace {

std::string bytes_text(std::int64_t bytes) { return with_byte_unit(static_cast<double>(bytes)); }

constexpr const char* kLess =
    "; make the model, train.micro_batch_size or data.sequence_length smaller, or set "
    "train.activation_checkpointing";

// Their weight in the loss follows from the targets in the datasets, so it is not known before.
void weigh_probes(Sweep& sweep) {
  Problems problems;
  ArmProblems of_arms;
  for (auto& arm : sweep.arms) {
    try {
      set_probe_loss_share(arm.config, *sweep.file.probes.training_loss_share);
    } catch (const InputError& error) {
      of_arms.add(arm.name, error.what());
    }
  }
  of_arms.add_to(problems);
  problems.throw_if_any();
}

// As many as shares are counted in (TrainingData::shares), and the one that is no sample.
constexpr std::int64_t kSampleOfProbes = 257;

/// A folder of its own among the system's temporary files, gone with the object.
class ScratchFolder {
 public:
  ScratchFolder() : path_((std::filesystem::temp_directory_path() / "zebra-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr)
      throw RunError(path_ + ": cannot be made: " + std::strerror(errno));
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::filesystem::path path() const { return path_; }

 private:
  std::string path_;
};

void check_sources(const Config& config) {
  const Tokenizer tokenizer(config.data.tokenizer);
  TrainingData(config, open_run_datasets(config, tokenizer).train, /*pinned=*/false);
}

class DataCheck {
 public:
  explicit DataCheck(const Sweep& sweep) : sweep_(sweep), probes_(training_probes(sweep)) {}

  void check(const Arm& arm) {
    auto config = arm.config;
    auto& train = config.data.train;
    const auto& loss_share = sweep_.file.probes.training_loss_share;
    const auto probes = probes_.find(train.back().path);
    if (probes == probes_.end()) return check_sources(config);
    if (std::filesystem::exists(train.back().path)) {
      check_sources(config);
    } else {
      const auto source = train.back();
      train.pop_back();
      check_sources(config);
      train.push_back(source);
      if (loss_share) train.back().path = sample_of(probes->second);
    }
    if (loss_share) set_probe_loss_share(config, *loss_share);
  }

 private:
  std::filesystem::path sample_of(ProbeDatasetOptions options) {
    if (!scratch_) scratch_.emplace();
    options.output = scratch_->path() / options.output.filename();
    options.sequences = std::min(options.sequences, kSampleOfProbes);
    if (!std::filesystem::exists(options.output)) write_probe_dataset(options);
    return options.output;
  }

  const Sweep& sweep_;
  std::map<std::filesystem::path, ProbeDatasetOptions> probes_;
  std::optional<ScratchFolder> scratch_;
};

/// Whether measured cost has a row for each of the patterns at each length.
bool has_cost(const std::filesystem::path& file, const std::vector<std::string>& patterns,
              const std::vector<std::int64_t>& lengths) {
  if (!std::filesystem::exists(file)) return false;
  const auto cost = nlohmann::json::parse(read_file(file), nullptr, /*allow_exceptions=*/false);
  const auto* rows = member_of(cost, "rows");
  std::set<std::pair<std::string, std::int64_t>> measured;
  if (rows != nullptr && rows->is_array()) {
    for (const auto& row : *rows)
      measured.emplace(row.value("pattern", ""), row.value("length", std::int64_t{0}));
  }
  return std::ranges::all_of(patterns, [&](const std::string& pattern) {
    return std::ranges::all_of(lengths, [&](std::int64_t length) {
      return measured.contains({pattern, length});
    });
  });
}

}  // namespace

void check_fit(const std::vector<Arm>& arms, int jobs, Problems& problems) {
  Problems unfit;
  ArmProblems of_devices;
  std::vector<std::int64_t> on_cpu;
  std::int64_t memory_of_cpu = 0;
  for (const auto& arm : arms) {
    try {
      const auto device = resolve_device(arm.config.run.device);
      const auto plan = make_plan(arm.config);
      auto needed = plan.training_bytes_per_rank();
      if (device.is_cpu()) needed += plan.host_copy_bytes;
      const auto there = device_memory_bytes(device);
      if (needed > there) {
        unfit.add("arm " + arm.name + ": training takes some " + bytes_text(needed) + ", but " +
                  device.str() + " has " + bytes_text(there) + kLess);
      } else if (device.is_cpu()) {
        on_cpu.push_back(needed);
        memory_of_cpu = there;
      }
    } catch (const InputError& error) {
      of_devices.add(arm.name, error.what());
    }
  }
  of_devices.add_to(unfit);
  std::sort(on_cpu.rbegin(), on_cpu.rend());
  on_cpu.resize(std::min(on_cpu.size(), static_cast<std::size_t>(jobs)));
  const auto together = std::accumulate(on_cpu.begin(), on_cpu.end(), std::int64_t{0});
  if (unfit.empty() && together > memory_of_cpu) {
    unfit.add("--jobs " + std::to_string(jobs) + ": the largest arms take some " +
              bytes_text(together) + " together, but the machine has " + bytes_text(memory_of_cpu) +
              "; give fewer jobs");
  }
  for (const auto& problem : unfit.all()) problems.add(problem);
}

void check_data(const Sweep& sweep, Problems& problems) {
  DataCheck data(sweep);
  ArmProblems of_arms;
  for (const auto& arm : sweep.arms) {
    try {
      data.check(arm);
    } catch (const InputError& error) {
      of_arms.add(arm.name, error.what());
    }
  }
  of_arms.add_to(problems);
}

std::vector<QueuedArm> prepare(Sweep sweep, const std::filesystem::path& program) {
  std::filesystem::create_directories(sweep.file.dir / "arms");
  for (const auto& [path, options] : training_probes(sweep)) write_training_probes(options);
  if (sweep.file.probes.training_loss_share) weigh_probes(sweep);
  std::vector<QueuedArm> queue;
  for (const auto& arm : sweep.arms) {
    const ArmPaths paths(sweep.file.dir, arm.name);
    write_file_atomically(paths.run_file, to_yaml(arm.config));
    queue.push_back(
        {arm.name,
         paths,
         goal_of(sweep, arm),
         {{program, "train", paths.run_file}, recall_command(sweep, arm, program), {}}});
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
  const auto& lengths = sweep.file.cost_lengths;
  if (lengths.empty()) return;
  const auto log = dir / "cost.log";
  for (const auto& run : cost_runs(sweep)) {
    if (has_cost(run.output, run.patterns, lengths) || stop_signal() != 0) continue;
    log_info("measuring cost by length (" + log.string() + ")");
    ChildProcess bench(
        {program, "bench", ArmPaths(dir, run.arm).run_file, "--lengths", join_numbers(lengths, ","),
         "--layouts", join(run.patterns, ","), "--json", run.output},
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
