#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "data/tokenizer.h"
#include "data/training_data.h"
#include "distributed/communicator.h"
#include "eval/evaluation_samples.h"
#include "model/zebra_model.h"

namespace zebra {

/// Ends the message about a result that is NaN or infinite.
inline constexpr const char* kNotFinite =
    " is not a finite number: the weights hold NaN or infinite values, or what is computed from "
    "them grows beyond its type; metrics.jsonl of the run shows since when, and an earlier "
    "checkpoint may be sound";

/// A batch and the loss of each of its targets, both on the host.
struct BatchLosses {
  Batch batch;
  torch::Tensor losses;  ///< [B, T] float32, 0 where a target does not count
};
/// Where ranks share sequences (ZebraModel::set_context) all have the whole batch, each with the
/// targets and losses of its own tokens.
BatchLosses losses_of(ZebraModel& model, const SampleBatch& samples, bool document_mask);

/// Loss of the predictions made at places [begin, end) of what is counted: positions of their
/// sample, or tokens that they may see.
struct PositionBucket {
  std::int64_t begin, end;
  double nats = 0.0;
  double targets = 0.0;  ///< that count; see Perplexity

  double loss() const { return nats / targets; }
};

/// One of several datasets of an evaluation.
struct DatasetLoss {
  std::string name;  ///< see DatasetSamples
  double loss;       ///< nats per token
  std::int64_t tokens;
};

/// Sums over the counted targets of an evaluation at one context length. Those of several datasets
/// are weighted, so that the figures are what the whole of them would have (the largest weight is
/// 1, and all are where nothing is cut off), or those of a mixture with the weights that are given.
struct Perplexity {
  std::int64_t length = 0;
  std::int64_t tokens = 0;  ///< targets that were counted, without weights
  double nats = 0.0;
  double targets = 0.0;
  double text_bytes = 0.0;                  ///< of the text predicted; BOS and EOS count none
  std::vector<PositionBucket> by_position;  ///< [0, 1), [1, 2), [2, 4), [4, 8), … up to the length
  /// The same ranges of the tokens before the predicting one that full attention sees: those of
  /// its sample and, with a document mask, of its document.
  std::vector<PositionBucket> by_visible;
  std::vector<DatasetLoss> by_dataset;  ///< in the order of cut_into_samples

  double loss() const { return nats / targets; }  ///< nats per token
  double perplexity() const;
  double bits_per_byte() const;
};

struct EvaluationOptions {
  std::int64_t length;  ///< tokens of context; samples are consecutive, length + 1 tokens each with
                        ///< stride length
  std::int64_t max_tokens;  ///< predicted tokens at most, see cut_into_samples; 0: all
  bool document_mask;
  std::vector<double> weights =
      {};  ///< of the datasets' losses, in the order of the list; none: as many tokens as each has
  std::function<void(std::int64_t done, std::int64_t total)> progress =
      {};                         ///< in predicted tokens; may be empty
  Communicator* ranks = nullptr;  ///< that share the work, and all get its result; null: this one
};

/// Evaluates `model` on the datasets' samples. The figures do not depend on the order of the
/// datasets, nor on how samples are batched but for rounding. Throws InputError when not one target
/// of a dataset counts.
Perplexity evaluate_perplexity(ZebraModel& model, const Tokenizer& tokenizer,
                               const TokenDatasets& datasets, const EvaluationOptions& options);

/// Throws RunError that names the figure, and the lengths at which it is no finite number.
void require_finite(const std::vector<Perplexity>& results);

/// by_position, and by_visible, as every JSON output spells them: [{"begin", "end", "loss"}].
nlohmann::ordered_json by_position_json(const Perplexity& perplexity);
nlohmann::ordered_json by_visible_json(const Perplexity& perplexity);

/// by_dataset as every JSON output spells it: [{"name", "loss", "tokens"}].
nlohmann::ordered_json by_dataset_json(const Perplexity& perplexity);

/// Results of one model at ascending lengths as tables for people, and as a document; the longest
/// also by position.
std::string perplexity_text(const std::vector<Perplexity>& results);
nlohmann::ordered_json perplexity_json(const std::vector<Perplexity>& results);

}  // namespace zebra
