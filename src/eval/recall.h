#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/key_blind.h"
#include "data/recall_probes.h"
#include "data/tokenizer.h"
#include "data/training_data.h"
#include "eval/perplexity.h"
#include "eval/text_recall.h"
#include "model/zebra_model.h"

namespace zebra {

/// What a model makes of one answer token of a probe, given everything before it.
struct AnswerScore {
  std::int64_t item;             ///< the probe's number
  std::int64_t distance;         ///< see ProbeAnswer
  std::uint32_t key_blind_hits;  ///< see key_blind.h
  double log_likelihood;         ///< natural logarithm, over the whole vocabulary
  bool is_exact;                 ///< whether no other token is likelier
};

struct ProbeEvaluation {
  ProbeSpec spec;
  std::int64_t items;
  std::uint64_t seed;
  std::function<void(std::int64_t done)> progress = {};  ///< in items; may be empty
};

/// Scores the first `items` probes of the evaluation split, in their order. The figures do not
/// depend on how probes are batched but for rounding.
std::vector<AnswerScore> score_probes(ZebraModel& model, const ProbeVocabulary& vocabulary,
                                      const ProbeEvaluation& evaluation);

/// What recall is measured on. Two evaluations with equal options and tokenizer ask the same
/// questions, whatever the model's layout.
struct RecallOptions {
  DistanceBands bands;
  std::vector<std::int64_t> lengths;  ///< tokens, ascending; those beyond the run's own extrapolate
  std::vector<ProbeTask> tasks;       ///< may be empty: text only
  std::int64_t items = 256;           ///< probes of each task and length
  ProbeVocabularySizes vocabulary = {};
  std::int64_t questions = 0;                       ///< see ProbeSpec
  std::vector<std::int64_t> pairs = {}, hops = {};  ///< see difficulties_of
  std::uint64_t seed = 1;
  std::int64_t max_tokens = 0;  ///< predicted tokens of natural text; 0: all whole samples
  std::function<void(const std::string& what, std::int64_t done, std::int64_t total)> progress = {};
};

/// The text that a model is judged on, and the one it learnt from (for what is rare in it). Without
/// validation text there are probes only.
struct RecallText {
  const TokenDatasets& train;
  const TokenDatasets& validation;
  std::vector<double> weights;  ///< of the validation datasets, see EvaluationOptions
  std::int64_t length;          ///< the run's sequence length
  bool document_mask;
};

struct TextRecallResult {
  Perplexity perplexity;                                   ///< at the run's sequence length
  std::vector<std::pair<std::int64_t, double>> by_length;  ///< length and loss, ascending
  TextRecall recall;
};

struct ProbeResult {
  ProbeTask task;
  std::int64_t length;
  ProbeDifficulty difficulty;
  std::size_t values;  ///< answer tokens to guess among
  double chance;       ///< of a hit by guessing: an answer, or all answer tokens of a probe
  std::vector<AnswerScore> answers;
};

/// What an earlier checkpoint of the same run made of the same probes.
struct EarlierRecall {
  std::int64_t step;
  std::vector<ProbeResult> probes;  ///< in the order of RecallResult::probes
};

struct RecallResult {
  std::int64_t length;  ///< the run's sequence length
  DistanceBands bands;
  std::optional<TextRecallResult> text;
  std::vector<ProbeResult> probes;          ///< by task, then by difficulty and length
  std::vector<EarlierRecall> earlier = {};  ///< the oldest first; empty unless asked for
};

/// Recall by distance (docs/ablations.md): loss of natural text by position and by length, of its
/// repeated pairs by band of distance, with and without the context beyond the window; and every
/// answer of every probe. Throws InputError when a task does not fit a length, the tokenizer has
/// too few tokens, or no target of the text counts.
RecallResult evaluate_recall(ZebraModel& model, const Tokenizer& tokenizer, const RecallText& text,
                             const RecallOptions& options);

/// The probes of evaluate_recall alone.
std::vector<ProbeResult> evaluate_probes(ZebraModel& model, const Tokenizer& tokenizer,
                                         const RecallOptions& options);

/// Throws RunError that names what is no finite number.
void require_finite(const RecallResult& result);

/// What decides the questions, and the text, that figures are of, besides the run: equal documents
/// stand for figures of the same. `earlier`: whether earlier checkpoints are asked as well.
nlohmann::ordered_json asked_json(const RecallOptions& options, bool earlier);

/// All of it, in one document.
nlohmann::ordered_json recall_json(const RecallResult& result);

/// Tables for people, with the probes' answers summed by band.
std::string recall_text(const RecallResult& result);

}  // namespace zebra
