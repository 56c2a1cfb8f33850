#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "data/recall_probes.h"
#include "model/zebra_model.h"

namespace zebra {

/// What a model makes of one answer token of a probe, given everything before it.
struct AnswerScore {
  std::int64_t item;      ///< the probe's number
  std::int64_t distance;  ///< see ProbeAnswer
  double log_likelihood;  ///< natural logarithm, over the whole vocabulary
  bool is_exact;          ///< whether no other token is likelier
};

struct ProbeEvaluation {
  ProbeSpec spec;
  std::int64_t items;
  std::uint64_t seed;
  std::span<const std::int32_t> text = {};  ///< fills what probes leave free; empty: random fillers
  std::function<void(std::int64_t done)> progress = {};  ///< in items; may be empty
};

/// Scores the first `items` probes of the evaluation split, in their order. The figures do not
/// depend on how probes are batched but for rounding.
std::vector<AnswerScore> score_probes(ZebraModel& model, const ProbeVocabulary& vocabulary,
                                      const ProbeEvaluation& evaluation);

}  // namespace zebra
