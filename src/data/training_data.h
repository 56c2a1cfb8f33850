#pragma once

#include <torch/types.h>

#include <cstdint>
#include <deque>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/config.h"
#include "data/mixture.h"
#include "data/ordered_pipeline.h"
#include "data/sample_plan.h"
#include "data/token_dataset.h"
#include "data/tokenizer.h"
#include "ops/attention_inputs.h"

namespace zebra {

/// `length` inputs and, shifted by one, their targets: tokens [begin, begin + length] of a dataset,
/// or parts of documents, one behind the other from the sample's start on; what they leave is
/// padding.
struct Sample {
  const TokenDataset* dataset;
  std::int64_t begin;        ///< of no meaning where there are parts
  float loss_weight = 1.0F;  ///< of its targets, see LossWeighting
  std::span<const DocumentPart> parts = {};
};

/// What the model reads and what it shall predict, for B samples of T tokens.
struct Batch {
  torch::Tensor tokens;          ///< [B, T] int64
  torch::Tensor targets;         ///< [B, T] int64, kIgnoredTarget where a target does not count
  torch::Tensor target_weights;  ///< [B, T] float32; undefined where all are 1
  PackedDocuments
      documents;  ///< packed when document_mask is on and a document begins inside a sample
  std::int64_t counted_targets = 0;

  Batch to(torch::Device device) const;
};

/// Reads the samples. With `document_mask` documents do not see each other and a target across a
/// boundary does not count; a dataset's loss mask is applied in any case. Padding is a document of
/// its own without targets. `pinned` puts the tensors into page-locked memory for a GPU.
///
/// A target's weight is the sample's loss_weight; with LossWeighting::sequence that divided by the
/// number of counted targets of its sequence: of what can see each other, a document's part of the
/// sample or without `document_mask` the whole sample.
Batch make_batch(std::span<const Sample> samples, std::int64_t length, bool document_mask,
                 bool pinned, LossWeighting weighting = LossWeighting::token);

/// What counts in a sample.
struct TargetCount {
  std::int64_t targets = 0;
  std::int64_t sequences = 0;  ///< with a target that counts

  std::int64_t weighed_by(LossWeighting weighting) const {
    return weighting == LossWeighting::sequence ? sequences : targets;
  }
  TargetCount& operator+=(const TargetCount& other) {
    targets += other.targets;
    sequences += other.sequences;
    return *this;
  }
};

/// As make_batch counts them, without reading tokens.
TargetCount count_targets(const Sample& sample, std::int64_t length, bool document_mask);

/// What a source gives to an optimizer step, on all ranks together.
struct SourcePart {
  std::int64_t samples = 0, targets = 0, sequences = 0;
  double loss_share = 0.0;  ///< of target_weight
};

/// One rank's micro-batches of an optimizer step, and what all ranks together have.
struct StepBatch {
  std::vector<Batch> micro_batches;
  std::vector<SourcePart> sources;  ///< in the order of data.train
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

/// Which of the step's samples are this rank's: equal shares, in the order of the ranks.
struct DataShare {
  int rank = 0, ranks = 1;
};

/// How samples are planned with data.packing: whole, and where in the run's folder plans are kept.
SamplePlanOptions plan_options(const Config& config);
std::filesystem::path plan_folder(const Config& config);

/// Opens the datasets of a list, in order; token files of other programs are adopted for as long as
/// they are open. Throws one InputError for all that cannot be used.
TokenDatasets open_datasets(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                            std::int64_t vocab_size);

/// The weights of a list; empty where they are not given.
std::vector<double> given_weights(const std::vector<DataSource>& sources);

std::vector<std::string> fingerprints_of(const TokenDatasets& datasets);

/// The datasets of data.train and data.validation, in order.
struct RunDatasets {
  TokenDatasets train, validation;
};

/// Opens all of them; throws one InputError for all that cannot be used.
RunDatasets open_run_datasets(const Config& config, const Tokenizer& tokenizer);

/// The training mixture as a function of (seed, step): step s (from 1) holds the global samples
/// [(s - 1) global_batch_size, s global_batch_size).
class TrainingData {
 public:
  /// `sources` are those of data.train. Throws InputError when one is too short for a sample.
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
  /// Shares of the samples; they add up to 1.
  const std::vector<double>& weights() const { return weights_; }
  /// How often the whole run reads each sample of a source, on average.
  double passes(std::size_t source) const;
  /// What the sources give on average. Targets are counted in 256 samples of each source, evenly
  /// spread, or in all where it has fewer.
  std::vector<SourceShare> shares() const;

 private:
  /// The second is their weight, where the source's loss_weight is 1.
  struct TargetsPerSample {
    double targets = 0.0, weight = 0.0;
  };

  void plan_samples();
  Sample sample_of(std::size_t source, std::int64_t number) const;
  std::int64_t samples_of(std::size_t source) const;
  std::int64_t tokens_of(std::size_t source) const;
  TargetsPerSample targets_per_sample(std::size_t source) const;
  void weigh(StepBatch& batch) const;

  Config config_;
  bool pinned_;
  DataShare share_;
  TokenDatasets sources_;
  std::vector<SamplePlan> plans_;  // of each source; empty with data.packing: concat
  std::vector<double> weights_;
  std::vector<float> loss_weights_;  // only their ratios matter: the largest is 1
  std::unique_ptr<MixtureOrder> order_;
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
