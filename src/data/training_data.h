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

/// One rank's micro-batches of an optimizer step.
struct StepBatch {
  std::vector<Batch> micro_batches;
  std::int64_t counted_targets = 0;  ///< of all ranks together
};

/// Which of the step's samples are this rank's: equal shares, in the order of the ranks.
struct DataShare {
  int rank = 0, ranks = 1;
};

using TokenDatasets = std::vector<std::unique_ptr<TokenDataset>>;

/// Opens the datasets of a list, in order; throws one InputError for all that cannot be used.
TokenDatasets open_datasets(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                            std::int64_t vocab_size);

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

  std::int64_t tokens() const;  ///< in all sources together
  const TokenDatasets& sources() const { return sources_; }
  /// Shares of the samples; they add up to 1.
  const std::vector<double>& weights() const { return weights_; }

 private:
  Config config_;
  bool pinned_;
  DataShare share_;
  TokenDatasets sources_;
  std::vector<double> weights_;
  std::unique_ptr<MixtureOrder> order_;
};

}  // namespace zebra
