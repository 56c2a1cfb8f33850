#include "cli/bench_step.h"

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "cli/end_job.h"
#include "cli/shared_options.h"
#include "config/load.h"
#include "data/training_data.h"
#include "distributed/job.h"
#include "distributed/launch.h"
#include "model/placement.h"
#include "plan/sharding_cost.h"

namespace zebra {
namespace {

StepMeasurement measure(const RunFileOptions& run_files, const StepMeasurementOptions& options,
                        Job& job) {
  Config config;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<TrainingData> data;
  job.together("reading the run file", [&] {
    const RunFile file = run_files.load(job.ranks());
    tokenizer = std::make_unique<Tokenizer>(file.data.tokenizer);
    config = resolve(file, tokenizer->vocab_size());
    ranks_per_replica(config.parallel, job.ranks());
    const auto device = resolve_device(config.run.device, job.launch().local_rank);
    data = std::make_unique<TrainingData>(config, open_run_datasets(config, *tokenizer).train,
                                          device.is_cuda(), DataShare{job.rank(), job.ranks()});
  });
  job.set_timeout(config.parallel.first_step_timeout);
  return measure_step(config, *tokenizer, std::move(*data), job, options);
}

}  // namespace

void bench_step(const RunFileOptions& run_files, const StepMeasurementOptions& options,
                const std::filesystem::path& json) {
  Job job(detect_launch());
  if (!job.is_first()) log_only_problems("rank " + std::to_string(job.rank()));
  try {
    const auto measurement = measure(run_files, options, job);
    job.finish();
    if (!job.is_first()) return;
    std::cout << step_text(measurement);
    if (!json.empty()) write_json(json, step_json(measurement));
  } catch (...) {
    end_job_or_throw(job);
  }
}

}  // namespace zebra
