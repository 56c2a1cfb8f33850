#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "data/distance_bands.h"
#include "data/training_data.h"
#include "model/zebra_model.h"

namespace zebra {

struct TextRecallOptions {
  std::int64_t length;      ///< T, tokens of context
  std::int64_t max_tokens;  ///< predicted tokens at most, in whole samples; 0: all whole samples
  DistanceBands bands;
  bool document_mask;
  std::int64_t context_targets = 512;        ///< at most; see ContextLosses
  std::int64_t long_context_targets = 2048;  ///< at most; see TextRecall
  std::uint64_t seed = 0;                    ///< of the choice of those
  std::function<void(std::int64_t done, std::int64_t total)> progress =
      {};  ///< in tokens that the model reads; `total` may fall once the targets are chosen; may be
           ///< empty
};

/// Losses of one class of targets: a value for each sample, 0 where it has none.
struct SampleLosses {
  std::vector<double> nats;
  std::vector<std::int64_t> tokens;
};

/// What context is worth: the losses of the same targets, in nats and in their order in the text,
/// with all of the context and with the predicting token and so many before it only. Chosen at
/// random among the counted targets for which that cuts at least one token off, because they are
/// predicted farther behind the beginning of their sample and, with a document mask, of their
/// document. Fewer than asked for, or none, where the text has no more.
struct ContextLosses {
  std::vector<double> full, cut;
};

/// Losses of counted targets by what predicts them. A recall target x[t + 1] after x[t] completes a
/// pair that occurred before in its sample (see source_distances) and is rare in the training data
/// (see BigramCounts::is_rare): to predict it a model must look it up. All others are the rest.
struct TextRecall {
  std::array<SampleLosses, kDistanceBands> recall;  ///< by DistanceBand of the source
  SampleLosses rest;
  ContextLosses context;       ///< cut to W tokens, which is what one local layer sees
  ContextLosses long_context;  ///< cut to short_context(T) tokens, whatever the layout

  const SampleLosses& recall_in(DistanceBand band) const {
    return recall[static_cast<std::size_t>(band)];
  }
};

/// Tokens before the predicting one that are a short context beside one of `length`: an eighth.
inline std::int64_t short_context(std::int64_t length) {
  return std::max<std::int64_t>(1, length / 8);
}

inline constexpr std::int64_t kNoSource = -1;

/// For each of the sample's predictions t the distance t - (u + 1) to the token x[u + 1] that a
/// model would have to copy: that of the latest u < t with x[u] = x[t] and x[u + 1] = x[t + 1]
/// inside the sample and, with `document_mask`, inside the document of x[t]. 0 where a token is
/// repeated thrice; kNoSource where there is none. Pairs across a boundary of documents are never
/// regarded. Whether the target counts plays no part.
std::vector<std::int64_t> source_distances(const Sample& sample, std::int64_t length,
                                           bool document_mask);

/// Evaluates `model` on the validation datasets' consecutive whole samples, as evaluate_perplexity
/// cuts them. Where targets are chosen does not depend on how samples are batched. Throws
/// InputError when not one target counts.
TextRecall evaluate_text_recall(ZebraModel& model, const TokenDatasets& train,
                                const TokenDatasets& validation, const TextRecallOptions& options);

}  // namespace zebra
