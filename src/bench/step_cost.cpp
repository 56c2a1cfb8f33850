#include "bench/step_cost.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/system.h"
#include "base/text.h"
#include "bench/device_meter.h"
#include "config/names.h"
#include "data/training_data.h"
#include "model/placement.h"
#include "plan/model_cost.h"
#include "train/run_folder.h"
#include "train/trainer.h"

namespace zebra {
namespace {

constexpr std::int64_t kProfiledSteps = 3;

/// The folder of a run, with the checkpoints that are measured; removed with everything in it.
class TemporaryRunFolder {
 public:
  TemporaryRunFolder(const std::filesystem::path& path, Job& job) : path_(path), job_(job) {
    job.together("making a folder for the measurement", [&] {
      if (job.is_first() && std::filesystem::exists(path)) {
        throw InputError(path.string() +
                         ": exists already; it is where zebra bench trains: remove it");
      }
    });
    job.together("locking the folder of the measurement", [&] {
      folder = std::make_unique<RunFolder>(
          path, job.is_first() ? RunFolder::Role::owner : RunFolder::Role::follower);
    });
  }
  ~TemporaryRunFolder() {
    folder.reset();
    std::error_code ignored;  // nothing better can be done with it here
    if (job_.is_first()) std::filesystem::remove_all(path_, ignored);
  }
  TemporaryRunFolder(const TemporaryRunFolder&) = delete;
  TemporaryRunFolder& operator=(const TemporaryRunFolder&) = delete;

  std::unique_ptr<RunFolder> folder;

 private:
  std::filesystem::path path_;
  Job& job_;
};

Config measured_config(Config config, std::int64_t steps) {
  config.run.dir = config.run.dir.string() + ".bench";
  config.train.max_steps = std::max(config.train.max_steps, steps + 1);  // never its last one
  config.model.window_schedule.clear();  // the window that the FLOPs are counted with
  config.schedule.window_warmup_steps = 0;
  config.eval.every_steps = 0;
  config.checkpoint.every_steps = 0;
  config.logging.every_steps = 1;
  return config;
}

// Trains up to a step, and hears from the trainer what each of its steps took.
class TimedTrainer {
 public:
  explicit TimedTrainer(Trainer& trainer) : trainer_(trainer) {}

  void run(std::int64_t stop_after) {
    trainer_.run(stop_after, [this](const StepMetrics& metrics) {
      steps_.emplace_back(metrics.step, metrics.seconds - std::exchange(clock_, metrics.seconds));
    });
  }

  // Of the steps first .. last.
  std::vector<double> seconds(std::int64_t first, std::int64_t last) const {
    std::vector<double> within;
    for (const auto& [step, seconds] : steps_) {
      if (step >= first && step <= last) within.push_back(seconds);
    }
    return within;
  }

 private:
  Trainer& trainer_;
  double clock_ = 0.0;  // of the trainer, after its newest step
  std::vector<std::pair<std::int64_t, double>> steps_;
};

void write_profile(TimedTrainer& trainer, std::int64_t last, const std::filesystem::path& path) {
  namespace profiler = torch::autograd::profiler;
  using torch::profiler::impl::ActivityType;
  const torch::profiler::impl::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO);
  const std::set<ActivityType> activities = {ActivityType::CPU, ActivityType::CUDA};
  profiler::prepareProfiler(config, activities);
  profiler::enableProfiler(config, activities);
  trainer.run(last);
  profiler::disableProfiler()->save(path.string());
}

// Tokens per second of the whole job that the loader makes on this rank's processor.
double measure_loading(TrainingData& data, std::int64_t tokens_per_step) {
  constexpr double kSeconds = 0.5;
  Prefetch prefetch(data, /*first=*/1);
  prefetch.next();
  const double began = monotonic_seconds();
  double steps = 0.0, seconds = 0.0;
  while (seconds < kSeconds) {
    prefetch.next();
    ++steps;
    seconds = monotonic_seconds() - began;
  }
  return steps * static_cast<double>(tokens_per_step) / seconds;
}

StepMeasurement describe(const Config& config, const Job& job, const DeviceMeter& meter) {
  StepMeasurement measurement;
  measurement.device = meter.device().is_cpu() ? "cpu" : "cuda";
  measurement.machine = meter.machine();
  measurement.threads = at::get_num_threads();
  measurement.ranks = job.ranks();
  measurement.precision = config.train.precision;
  measurement.tokens_per_step = config.train.global_batch_size * config.data.sequence_length;
  measurement.training_flops_per_token =
      kTrainingPasses * forward_flops_per_token(config.model, config.data.sequence_length).total();
  return measurement;
}

// Mean seconds of each part in `steps` steps that took `total`.
void take_parts(const PartTimes& times, std::int64_t steps, double total,
                StepMeasurement& measurement) {
  double in_parts = 0.0;
  for (const auto& [part, seconds] : times.seconds()) {
    if (part == "checkpoint") {
      measurement.checkpoint_seconds = seconds;
    } else {
      measurement.part_seconds[part] = seconds / static_cast<double>(steps);
      in_parts += seconds;
    }
  }
  measurement.part_seconds["other"] = (total - in_parts) / static_cast<double>(steps);
}

std::string row(const std::string& name, const std::string& value, const std::string& note = "") {
  return figure_line(28, name, value, note);
}

std::string milliseconds(double seconds) { return fixed(1e3 * seconds, 1) + " ms"; }

// The longest first.
std::vector<std::pair<std::string, double>> sorted_parts(const StepMeasurement& m) {
  std::vector<std::pair<std::string, double>> parts(m.part_seconds.begin(), m.part_seconds.end());
  std::stable_sort(parts.begin(), parts.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return parts;
}

}  // namespace

double StepMeasurement::median_step_seconds() const { return median(step_seconds); }

double StepMeasurement::tokens_per_second() const {
  return static_cast<double>(tokens_per_step) / median_step_seconds();
}

double StepMeasurement::mfu() const {
  return tokens_per_second() * training_flops_per_token / (ranks * peak_matmul_flops);
}

StepMeasurement measure_step(const Config& config_of_run, const Tokenizer& tokenizer,
                             TrainingData data, Job& job, const StepMeasurementOptions& options) {
  const auto first = options.warm_up + 1, last = options.warm_up + options.steps,
             last_with_parts = last + options.steps;
  const auto config = measured_config(config_of_run, last_with_parts + kProfiledSteps);
  const DeviceMeter meter(resolve_device(config.run.device, job.launch().local_rank));
  auto measurement = describe(config, job, meter);
  measurement.peak_matmul_flops = peak_matmul_flops(config.train.precision, meter);

  measurement.loaded_tokens_per_second = measure_loading(data, measurement.tokens_per_step);

  const TemporaryRunFolder temporary(config.run.dir, job);
  if (job.is_first()) temporary.folder->describe(config);
  const auto before = meter.reset_peak_bytes();
  Trainer trainer(config, tokenizer, std::move(data), {}, *temporary.folder, job);
  TimedTrainer timed(trainer);
  timed.run(last);
  if (const auto peak = meter.peak_bytes(); before && peak)
    measurement.peak_bytes = *peak - *before;
  measurement.step_seconds = timed.seconds(first, last);
  {
    const PartTimes times(meter);
    timed.run(last_with_parts);
    const auto with_parts = timed.seconds(last + 1, last_with_parts);
    take_parts(times, options.steps, std::accumulate(with_parts.begin(), with_parts.end(), 0.0),
               measurement);
  }
  if (!options.profile.empty()) {
    write_profile(timed, last_with_parts + kProfiledSteps, options.profile);
  }
  return measurement;
}

std::string to_text(const StepMeasurement& m) {
  const auto [least, most] = std::minmax_element(m.step_seconds.begin(), m.step_seconds.end());
  std::string text = m.device + ": " + m.machine + ", " + std::to_string(m.threads) + " threads, " +
                     name_of(m.precision) +
                     (m.ranks > 1 ? ", " + std::to_string(m.ranks) + " ranks" : "") + "\n";
  text += "\nA step of " + with_commas(m.tokens_per_step) + " tokens\n";
  text += row("time", milliseconds(m.median_step_seconds()),
              "median of " + std::to_string(m.step_seconds.size()) + ", " + milliseconds(*least) +
                  " to " + milliseconds(*most));
  text += row("tokens per second", with_suffix(m.tokens_per_second()));
  text += row("products' ceiling", with_suffix(m.peak_matmul_flops) + "FLOP/s",
              "large matrix products on this machine, now");
  text += row("of the ceiling (MFU)", percent(m.mfu()),
              "by the FLOPs of the model, every sequence one document");
  text += row(
      "peak memory",
      m.peak_bytes ? fixed(static_cast<double>(*m.peak_bytes) / kBytesPerGiB, 2) + " GiB" : "-");
  text += "\nWhere the time goes";
  text += m.device == "cuda" ? ", each part alone on the device\n" : "\n";
  double total = 0.0;
  for (const auto& [part, seconds] : m.part_seconds) total += seconds;
  for (const auto& [part, seconds] : sorted_parts(m)) {
    text += row(part, milliseconds(seconds), percent(seconds / total));
  }
  text += "\nBeside the steps\n";
  text += row("a whole checkpoint", milliseconds(m.checkpoint_seconds));
  return text + row("loader alone", with_suffix(m.loaded_tokens_per_second) + " tok/s",
                    fixed(m.loaded_tokens_per_second / m.tokens_per_second(), 0) +
                        " times what the steps read");
}

nlohmann::ordered_json to_json(const StepMeasurement& m) {
  nlohmann::ordered_json json = {{"device", m.device},
                                 {"machine", m.machine},
                                 {"threads", m.threads},
                                 {"ranks", m.ranks},
                                 {"precision", name_of(m.precision)},
                                 {"tokens_per_step", m.tokens_per_step},
                                 {"step_seconds", m.step_seconds},
                                 {"tokens_per_second", m.tokens_per_second()},
                                 {"training_flops_per_token", m.training_flops_per_token},
                                 {"product_ceiling", m.peak_matmul_flops},
                                 {"mfu", m.mfu()},
                                 {"part_seconds", m.part_seconds},
                                 {"checkpoint_seconds", m.checkpoint_seconds},
                                 {"loaded_tokens_per_second", m.loaded_tokens_per_second}};
  if (m.peak_bytes) json["peak_bytes"] = *m.peak_bytes;
  return json;
}

}  // namespace zebra
