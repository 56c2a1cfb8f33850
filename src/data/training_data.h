#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/data_stages.h"
#include "data/batch.h"
#include "data/ordered_pipeline.h"
#include "data/sample_plan.h"
#include "data/staged_mixture.h"
#include "data/token_dataset.h"
#include "data/tokenizer.h"

namespace zebra {

/// What a source gives to an optimizer step, on all ranks together.
struct SourcePart {
  std::int64_t samples = 0, targets = 0, sequences = 0;
  double loss_share = 0.0;  ///< of target_weight
};

/// One rank's micro-batches of an optimizer step, and what all ranks together have.
struct StepBatch {
  std::vector<Batch> micro_batches;
  std::vector<SourcePart> sources;  ///< in the order of training_sources
  std::int64_t counted_targets = 0;
  /// Sum of the counted targets' loss weights, by which the summed loss is divided:
  /// counted_targets, or the number of sequences, where those of all sources are 1. The same double
  /// for any ranks and micro-batches.
  double target_weight = 0.0;
};

/// What a source gives to a run: shares of what all sources give, so that they add up to 1.
struct SourceShare {
  double samples = 0.0;
  double targets = 0.0;  ///< of those that count
  double loss = 0.0;     ///< of their loss weights
};

/// Steps of a run in a row that read one mixture.
struct StageShares {
  std::int64_t first_step = 1, last_step = 0;
  std::vector<double> samples;  ///< share of each source; they add up to 1
  std::vector<double> passes;   ///< how often each source is read meanwhile
};

/// Which of the step's samples are this rank's: equal shares, in the order of the ranks. Where
/// ranks share samples, groups of them count here, and `context` says which part is this one's.
struct DataShare {
  int rank = 0, ranks = 1;
  ContextShare context = {};
};
DataShare data_share(const ParallelSection& parallel, int rank, int ranks);

/// How samples are planned with data.packing: whole, and where in the run's folder plans are kept.
SamplePlanOptions plan_options(const Config& config);
std::filesystem::path plan_folder(const Config& config);

/// Opens the datasets of a list, in order; token files of other programs are adopted for as long as
/// they are open. Throws one InputError for all that cannot be used.
TokenDatasets open_datasets(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                            std::int64_t vocab_size);

/// Opens the training_sources of a run, in order.
TokenDatasets open_training_datasets(const Config& config, const Tokenizer& tokenizer);

/// The weights of a list; empty where they are not given.
std::vector<double> given_weights(const std::vector<DataSource>& sources);

std::vector<std::string> fingerprints_of(const TokenDatasets& datasets);

/// The datasets of training_sources and data.validation, in order.
struct RunDatasets {
  TokenDatasets train, validation;
};

/// Opens all of them; throws one InputError for all that cannot be used.
RunDatasets open_run_datasets(const Config& config, const Tokenizer& tokenizer);

/// The training mixture as a function of (seed, step): step s (from 1) holds the global samples
/// [(s - 1) global_batch_size, s global_batch_size). It belongs to one stage
/// (config/data_stages.h).
class TrainingData {
 public:
  /// `sources` are the run's training_sources. Throws InputError when one is too short for a
  /// sample.
  TrainingData(const Config& config, TokenDatasets sources, bool pinned, DataShare share = {});

  StepBatch step(std::int64_t step);

  /// With data.packing: whole, keeps which documents make up which samples in the run's folder,
  /// where the next start finds it. Throws RunError.
  void store_plans() const;

  /// Of each source; none with data.packing: concat.
  const std::vector<SamplePlan>& plans() const { return plans_; }
  /// What the plans have made of the sources, for people.
  std::vector<std::string> packing_notes() const;

  std::int64_t tokens() const;  ///< in all sources together
  const TokenDatasets& sources() const { return sources_; }
  /// How often the whole run reads each sample of a source, on average.
  double passes(std::size_t source) const;
  /// What the sources give to the whole run on average. Targets are counted in 256 samples of each
  /// source, evenly spread, or in all where it has fewer.
  std::vector<SourceShare> shares() const;
  /// The stages of which the run takes a step.
  std::vector<StageShares> stages() const;

 private:
  /// The figures of sources that have no part are 0.
  struct Stage {
    std::int64_t first_step, steps;  // of this run
    std::optional<std::int64_t> last_step;
    std::vector<double> weights;      // shares of the samples
    std::vector<float> loss_weights;  // only their ratios matter: the largest is 1
  };

  /// The second is their weight, where the source's loss_weight is 1.
  struct TargetsPerSample {
    double targets = 0.0, weight = 0.0;
  };

  void plan_samples();
  Stage weighed(const TrainingStage& stage) const;
  void check_lengths() const;
  StagedMixture order() const;
  const Stage& stage_at(std::int64_t step) const;
  std::int64_t samples_of(std::size_t source) const;
  std::int64_t tokens_of(std::size_t source) const;
  Sample sample_of(std::size_t source, std::int64_t number) const;
  TargetsPerSample targets_per_sample(std::size_t source) const;
  double passes(std::size_t source, const Stage& stage) const;
  void weigh(StepBatch& batch, const Stage& stage) const;

  Config config_;
  bool pinned_;
  DataShare share_;
  TokenDatasets sources_;
  std::vector<SamplePlan> plans_;  // of each source; empty with data.packing: concat
  std::vector<Stage> stages_;
  std::optional<StagedMixture> order_;
};

/// Makes the batches of the next steps on a thread of its own. An error there (a corrupt chunk,
/// say) is thrown by next().
class Prefetch {
 public:
  /// From step `first` on; `depth` steps are made ahead. `data` must outlive this object.
  Prefetch(TrainingData& data, std::int64_t first, std::size_t depth = 2);

  /// The batches of the next step, waiting for them if need be.
  StepBatch next();

 private:
  void begin_step();

  TrainingData& data_;
  std::int64_t next_step_;
  std::deque<std::future<StepBatch>> under_way_;
  WorkerThreads thread_;
};

}  // namespace zebra
