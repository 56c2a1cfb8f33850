#include "cli/training_job.h"

#include <cstdlib>
#include <exception>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/moved_run.h"
#include "config/load.h"
#include "distributed/communicator.h"
#include "distributed/launch.h"
#include "model/placement.h"
#include "plan/sharding_cost.h"

namespace zebra {

TrainingInputs open_training_inputs(const RunFileOptions& run_files, const Job& job) {
  TrainingInputs inputs;
  RunFile file = run_files.load(job.ranks());
  for (const auto& note : follow_moved_run(file, run_files.files, run_files.overrides))
    log_info(note);
  if (file.train.max_steps == 0) {
    throw InputError(
        "train.max_steps is 0 and data.train is empty: this configuration describes a model that "
        "is not trained; to train it, give both, and its folder as model.init_from");
  }
  inputs.tokenizer = std::make_unique<Tokenizer>(file.data.tokenizer);
  inputs.config = resolve(file, inputs.tokenizer->vocab_size());
  const auto& config = inputs.config;
  ranks_per_replica(config.parallel, job.ranks());
  const auto device = resolve_device(config.run.device, job.launch().local_rank);
  auto datasets = open_run_datasets(config, *inputs.tokenizer);
  inputs.data = std::make_unique<TrainingData>(config, std::move(datasets.train), device.is_cuda(),
                                               DataShare{job.rank(), job.ranks()});
  inputs.validation = std::move(datasets.validation);
  return inputs;
}

void as_rank_of_job(const std::function<void(Job&)>& work) {
  Job job(detect_launch());
  if (!job.is_first()) log_only_problems("rank " + std::to_string(job.rank()));
  try {
    work(job);
  } catch (...) {
    end_job_or_throw(job);
  }
}

void end_job_or_throw(Job& job) {
  if (job.ranks() == 1 || job.is_finished()) throw;
  try {
    throw;
  } catch (const CollectiveError& error) {
    job.collective_failed(error);
  } catch (const std::exception& error) {
    job.fail(without_backtrace(error.what()));
  }
  std::_Exit(kExitFailed);
}

}  // namespace zebra
