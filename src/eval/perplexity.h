#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/tokenizer.h"
#include "data/training_data.h"
#include "distributed/communicator.h"
#include "model/zebra_model.h"

namespace zebra {

/// Consecutive samples of one dataset, `length` inputs each with stride `length`: each token but
/// the first is predicted once.
struct DatasetSamples {
  std::vector<Sample> whole;
  std::optional<std::pair<Sample, std::int64_t>> partial;  ///< the last one and its inputs

  std::int64_t tokens(std::int64_t length) const {  ///< predicted ones
    return static_cast<std::int64_t>(whole.size()) * length + (partial ? partial->second : 0);
  }
};

/// Cuts the first `max_tokens` predicted tokens (0: all) of the datasets one after another; no
/// sample reaches across two of them. The one that the limit cuts off gives whole samples only.
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

/// A batch and the loss of each of its targets, both on the host.
struct BatchLosses {
  Batch batch;
  torch::Tensor losses;  ///< [B, T] float32, 0 where a target does not count
};
BatchLosses losses_of(ZebraModel& model, const SampleBatch& samples, bool document_mask);

/// Loss of the predictions made at positions [begin, end) of their sample.
struct PositionBucket {
  std::int64_t begin, end;
  double nats = 0.0;
  std::int64_t tokens = 0;

  double loss() const { return nats / static_cast<double>(tokens); }
};

/// Sums over the counted targets of an evaluation at one context length.
struct Perplexity {
  std::int64_t length = 0;
  double nats = 0.0;
  std::int64_t tokens = 0;
  std::int64_t text_bytes = 0;              ///< of the text predicted; BOS and EOS count none
  std::vector<PositionBucket> by_position;  ///< [0, 1), [1, 2), [2, 4), [4, 8), … up to the length

  double loss() const { return nats / static_cast<double>(tokens); }  ///< nats per token
  double perplexity() const;
  double bits_per_byte() const;
};

struct EvaluationOptions {
  std::int64_t length;  ///< tokens of context; samples are consecutive, length + 1 tokens each with
                        ///< stride length
  std::int64_t max_tokens;  ///< predicted tokens at most, rounded down to whole samples; 0: all,
                            ///< the last sample partial
  bool document_mask;
  std::function<void(std::int64_t done, std::int64_t total)> progress =
      {};                         ///< in predicted tokens; may be empty
  Communicator* ranks = nullptr;  ///< that share the work, and all get its result; null: this one
};

/// Evaluates `model` on the first max_tokens of the datasets one after another; no sample reaches
/// across two of them. The figures do not depend on how samples are batched but for rounding.
/// Throws InputError when not one target counts.
Perplexity evaluate_perplexity(ZebraModel& model, const Tokenizer& tokenizer,
                               const TokenDatasets& datasets, const EvaluationOptions& options);

/// by_position as every JSON output spells it: [{"begin", "end", "loss"}].
nlohmann::ordered_json by_position_json(const Perplexity& perplexity);

/// Results of one model at ascending lengths as tables for people, and as a document; the longest
/// also by position.
std::string perplexity_text(const std::vector<Perplexity>& results);
nlohmann::ordered_json perplexity_json(const std::vector<Perplexity>& results);

}  // namespace zebra
