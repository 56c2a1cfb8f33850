#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "config/config.h"
#include "data/batch.h"
#include "data/mixture.h"
#include "data/token_dataset.h"
#include "data/tokenizer.h"

namespace zebra {

/// All micro-batches of one optimizer step.
struct StepBatch {
  std::vector<Batch> micro_batches;
  std::int64_t counted_targets = 0;
};

/// The training mixture as a function of (seed, step): step s (from 1) holds the global samples
/// [(s - 1) global_batch_size, s global_batch_size).
class TrainingData {
 public:
  /// Opens every dataset of `config.data.train`; all that is wrong with them is one InputError.
  TrainingData(const Config& config, const Tokenizer& tokenizer, bool pinned);

  StepBatch step(std::int64_t step);

  std::int64_t tokens() const;  ///< in all sources together
  const std::vector<std::unique_ptr<TokenDataset>>& sources() const { return sources_; }
  /// Shares of the samples; they add up to 1.
  const std::vector<double>& weights() const { return weights_; }

 private:
  Config config_;
  bool pinned_;
  std::vector<std::unique_ptr<TokenDataset>> sources_;
  std::vector<double> weights_;
  std::unique_ptr<MixtureOrder> order_;
};

/// Opens the datasets of a list, in order; throws one InputError for all that cannot be used.
std::vector<std::unique_ptr<TokenDataset>> open_datasets(const std::vector<DataSource>& sources,
                                                         const Tokenizer& tokenizer,
                                                         std::int64_t vocab_size);

}  // namespace zebra
