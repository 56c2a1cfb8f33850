#include "cli/training_job.h"

#include <cstdlib>
#include <exception>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/message.h"
#include "checkpoint/moved_run.h"
#include "config/load.h"
#include "distributed/communicator.h"
#include "distributed/launch.h"
#include "model/placement.h"
#include "plan/sharding_cost.h"

namespace zebra {
namespace {

// Up to four passes over the same text are worth nearly as much as new text (Muennighoff et al.,
// Scaling Data-Constrained Language Models, 2023).
constexpr double kMostUsefulPasses = 4.0;

// Empty for a run whose mixture does not change.
std::string stages_table(const TrainingData& data) {
  const auto stages = data.stages();
  if (stages.size() < 2) return "";
  std::vector<std::vector<std::string>> rows = {{"  steps", "source", "share", "read"}};
  for (const auto& stage : stages) {
    std::string steps =
        "  " + with_commas(stage.first_step) + " to " + with_commas(stage.last_step);
    for (std::size_t s = 0; s < data.sources().size(); ++s) {
      if (stage.samples[s] == 0.0) continue;
      rows.push_back({std::exchange(steps, ""), data.sources()[s]->path().string(),
                      percent(stage.samples[s]), fixed(stage.passes[s], 2) + " times"});
    }
  }
  return "\nData by stage\n" + text_table(rows, "llr");
}

}  // namespace

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
  context_ranks(config.parallel, job.ranks());
  const auto device = resolve_device(config.run.device, job.launch().local_rank);
  auto datasets = open_run_datasets(config, *inputs.tokenizer);
  inputs.data =
      std::make_unique<TrainingData>(config, std::move(datasets.train), device.is_cuda(),
                                     data_share(config.parallel, job.rank(), job.ranks()));
  inputs.validation = std::move(datasets.validation);
  return inputs;
}

std::string data_table(const TrainingData& data) {
  std::vector<std::vector<std::string>> rows = {{"  source", "tokens", "share", "read"}};
  const bool is_mixture = data.sources().size() > 1;
  if (is_mixture) rows.front().insert(rows.front().end(), {"of targets", "of loss"});
  const auto shares = data.shares();
  for (std::size_t s = 0; s < data.sources().size(); ++s) {
    rows.push_back({"  " + data.sources()[s]->path().string(),
                    with_commas(data.sources()[s]->tokens()), percent(shares[s].samples),
                    fixed(data.passes(s), 2) + " times"});
    if (is_mixture)
      rows.back().insert(rows.back().end(), {percent(shares[s].targets), percent(shares[s].loss)});
  }
  std::string text = "\nData\n" + text_table(rows, "lr");
  for (const auto& note : data.packing_notes()) text += "  " + note + "\n";
  return text + stages_table(data);
}

nlohmann::ordered_json data_json(const TrainingData& data) {
  auto json = nlohmann::ordered_json::array();
  const auto shares = data.shares();
  for (std::size_t s = 0; s < data.sources().size(); ++s) {
    json.push_back({{"path", data.sources()[s]->path().string()},
                    {"tokens", data.sources()[s]->tokens()},
                    {"share", shares[s].samples},
                    {"targets_share", shares[s].targets},
                    {"loss_share", shares[s].loss},
                    {"passes", data.passes(s)}});
    if (data.plans().empty()) continue;
    const auto& counts = data.plans()[s].counts();
    json.back()["packing"] = {{"samples", data.plans()[s].samples()},
                              {"documents", counts.documents},
                              {"documents_too_long", counts.too_long},
                              {"documents_of_one_token", counts.one_token},
                              {"padding_tokens", counts.padding}};
  }
  return json;
}

nlohmann::ordered_json data_stages_json(const TrainingData& data) {
  auto json = nlohmann::ordered_json::array();
  const auto stages = data.stages();
  if (stages.size() < 2) return json;
  for (const auto& stage : stages) {
    nlohmann::ordered_json entry = {{"first_step", stage.first_step},
                                    {"last_step", stage.last_step}};
    entry["sources"] = nlohmann::ordered_json::array();
    for (std::size_t s = 0; s < data.sources().size(); ++s) {
      if (stage.samples[s] == 0.0) continue;
      entry["sources"].push_back({{"path", data.sources()[s]->path().string()},
                                  {"share", stage.samples[s]},
                                  {"passes", stage.passes[s]}});
    }
    json.push_back(std::move(entry));
  }
  return json;
}

std::vector<std::string> repetition_warnings(const TrainingData& data) {
  std::vector<std::string> warnings;
  if (data.sources().size() < 2) return warnings;  // then it is the whole run that is too long
  for (std::size_t s = 0; s < data.sources().size(); ++s) {
    if (data.passes(s) <= kMostUsefulPasses) continue;
    warnings.push_back(data.sources()[s]->path().string() + ": the run reads it " +
                       fixed(data.passes(s), 1) + " times; beyond " + fixed(kMostUsefulPasses, 0) +
                       " a model learns little more from it: lower its weight, or pack more "
                       "text");
  }
  return warnings;
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
    job.fail(failure_text(error));
  }
  std::_Exit(kExitFailed);
}

}  // namespace zebra
