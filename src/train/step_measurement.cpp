#include "train/step_measurement.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/system.h"
#include "data/training_data.h"
#include "measurement/device_meter.h"
#include "measurement/median.h"
#include "measurement/part_times.h"
#include "measurement/product_ceiling.h"
#include "model/placement.h"
#include "plan/model_cost.h"
#include "train/run_folder.h"
#include "train/trainer.h"

namespace zebra {
namespace {

constexpr std::int64_t kProfiledSteps = 3;
constexpr double kTrainingPasses = 3.0;  // backward costs twice the forward

/// A run folder that is removed with everything in it.
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
  config.eval.every_steps = 0;
  config.checkpoint.every_steps = 0;
  config.logging.every_steps = 1;
  return config;
}

// The trainer's own clock after each of the steps first .. last; first - 1 is where it begins.
std::vector<double> step_seconds(const std::filesystem::path& run, std::int64_t first,
                                 std::int64_t last) {
  std::vector<double> seconds;
  double before = 0.0;
  std::ifstream file(run / "metrics.jsonl");
  for (std::string line; std::getline(file, line);) {
    const auto row = nlohmann::json::parse(line);
    const auto step = row.at("step").get<std::int64_t>();
    const double now = row.at("seconds").get<double>();
    if (step >= first && step <= last) seconds.push_back(now - before);
    before = now;
  }
  return seconds;
}

void write_profile(Trainer& trainer, std::int64_t last, const std::filesystem::path& path) {
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

}  // namespace

double StepMeasurement::median_step_seconds() const { return median(step_seconds); }

double StepMeasurement::tokens_per_second() const {
  return static_cast<double>(tokens_per_step) / median_step_seconds();
}

double StepMeasurement::mfu() const {
  return tokens_per_second() * training_flops_per_token / (ranks * product_ceiling);
}

StepMeasurement measure_step(const Config& config_of_run, const Tokenizer& tokenizer,
                             TrainingData data, Job& job, const StepMeasurementOptions& options) {
  const auto first = options.warm_up + 1, last = options.warm_up + options.steps,
             last_with_parts = last + options.steps;
  const auto config = measured_config(config_of_run, last_with_parts + kProfiledSteps);
  const DeviceMeter meter(resolve_device(config.run.device, job.launch().local_rank));
  auto measurement = describe(config, job, meter);
  measurement.product_ceiling = measure_product_ceiling(config.train.precision, meter);

  measurement.loaded_tokens_per_second = measure_loading(data, measurement.tokens_per_step);

  const TemporaryRunFolder temporary(config.run.dir, job);
  if (job.is_first()) temporary.folder->describe(config);
  const auto before = meter.reset_peak_bytes();
  Trainer trainer(config, tokenizer, std::move(data), {}, *temporary.folder, job);
  trainer.run(last);
  if (const auto peak = meter.peak_bytes(); before && peak)
    measurement.peak_bytes = *peak - *before;
  {
    const PartTimes times(meter);
    trainer.run(last_with_parts);
    if (job.is_first()) {
      measurement.step_seconds = step_seconds(config.run.dir, first, last);
      const auto with_parts = step_seconds(config.run.dir, last + 1, last_with_parts);
      take_parts(times, options.steps, std::accumulate(with_parts.begin(), with_parts.end(), 0.0),
                 measurement);
    }
  }
  if (!options.profile.empty()) {
    write_profile(trainer, last_with_parts + kProfiledSteps, options.profile);
  }
  return measurement;
}

}  // namespace zebra
