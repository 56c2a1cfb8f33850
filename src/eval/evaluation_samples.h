#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/training_data.h"

namespace zebra {

/// Consecutive samples of one dataset, `length` inputs each with stride `length`: each token but
/// the first is predicted once.
struct DatasetSamples {
  const TokenDataset* dataset;
  std::size_t index;  ///< of the dataset in the list
  std::string name;   ///< the folder's; its whole path where another dataset's folder has that name
  std::vector<Sample> whole;
  std::optional<std::pair<Sample, std::int64_t>> partial;  ///< the last one and its inputs

  std::int64_t tokens(std::int64_t length) const {  ///< predicted ones
    return static_cast<std::int64_t>(whole.size()) * length + (partial ? partial->second : 0);
  }
};

/// Cuts at most `max_tokens` predicted tokens (0: all) of the datasets, whose shares of the limit
/// are equal; what a small dataset leaves of its share is the others'. No sample reaches across two
/// datasets. Those that the limit cuts off give whole samples only. In the order of their paths, so
/// that nothing depends on the order of a list. Throws InputError, naming the datasets, where a
/// share is smaller than one sample.
std::vector<DatasetSamples> cut_into_samples(const TokenDatasets& datasets, std::int64_t length,
                                             std::int64_t max_tokens);

/// Sequences of one length for one forward pass without a gradient: enough for full speed, few
/// enough to take little memory.
std::int64_t rows_of_batch(std::int64_t length);

/// Samples of one length for one forward pass without a gradient.
struct SampleBatch {
  std::span<const Sample> samples;
  std::int64_t length;
};

/// In order, rows_of_batch at a time. The batches refer to `samples`.
std::vector<SampleBatch> batches_of(std::span<const Sample> samples, std::int64_t length);

}  // namespace zebra
