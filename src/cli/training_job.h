#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/shared_options.h"
#include "config/config.h"
#include "data/training_data.h"
#include "distributed/job.h"

namespace zebra {

/// What training takes on one rank, opened and checked; nothing is written.
struct TrainingInputs {
  Config config;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<TrainingData> data;
  TokenDatasets validation;
};

/// Throws InputError.
TrainingInputs open_training_inputs(const RunFileOptions& run_files, const Job& job);

/// A table of the run's sources: tokens, share of the samples, how often the run reads each, and in
/// a mixture its shares of the targets and of the loss. Where the mixture changes, another one says
/// what each stage reads.
std::string data_table(const TrainingData& data);

nlohmann::ordered_json data_json(const TrainingData& data);

/// The stages of a run whose mixture changes; an empty list for any other.
nlohmann::ordered_json data_stages_json(const TrainingData& data);

/// What is said of each source of a mixture that the run reads more often than it is likely to
/// learn from.
std::vector<std::string> repetition_warnings(const TrainingData& data);

/// Joins the job of which this process is a rank, and does `work`; ranks other than the first tell
/// only of problems. Where `work` throws, one of several ranks ends as end_job_or_throw says.
void as_rank_of_job(const std::function<void(Job&)>& work);

/// For handlers of any exception. One of several ranks ends with the job, at once, telling why:
/// unwinding would wait for collectives that never end. A process on its own, or one whose job has
/// ended, throws the exception again.
[[noreturn]] void end_job_or_throw(Job& job);

}  // namespace zebra
