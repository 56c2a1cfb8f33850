#include "eval/recall.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "config/names.h"
#include "eval/perplexity.h"
#include "eval/probe_scores.h"
#include "eval/text_recall.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

void check(const RecallOptions& options) {
  Problems problems;
  check_distance_bands(options.bands, problems);
  check_probe_vocabulary_sizes(options.vocabulary, problems);
  for (const auto task : options.tasks) {
    for (const auto length : options.lengths) check_probe_length(task, length, problems);
  }
  problems.throw_if_any();
}

class RecallEvaluation {
 public:
  RecallEvaluation(ZebraModel& model, const Tokenizer& tokenizer, const RecallText& text,
                   const RecallOptions& options)
      : model_(model), tokenizer_(tokenizer), text_(text), options_(options) {}

  Json text() const {
    const auto at_own_length = perplexity_at(text_.length);
    auto lengths = std::set<std::int64_t>(options_.lengths.begin(), options_.lengths.end());
    Json by_length = Json::array();
    for (const auto length : lengths) {
      const auto loss =
          length == text_.length ? at_own_length.loss() : perplexity_at(length).loss();
      by_length.push_back({{"length", length}, {"loss", loss}});
    }
    const auto recall = evaluate_text_recall(model_, text_.train, text_.validation,
                                             {.length = text_.length,
                                              .max_tokens = options_.max_tokens,
                                              .bands = options_.bands,
                                              .document_mask = text_.document_mask,
                                              .seed = options_.seed,
                                              .progress = reporting("repeated pairs of the text")});
    return {{"loss", at_own_length.loss()},
            {"tokens", at_own_length.tokens},
            {"by_position", by_position_json(at_own_length)},
            {"by_length", by_length},
            {"bigrams", bigrams_json(recall)},
            {"context", {{"full", recall.context.full}, {"cut", recall.context.cut}}}};
  }

  Json probes() const {
    Json probes = Json::array();
    if (options_.tasks.empty()) return probes;
    const ProbeVocabulary vocabulary(tokenizer_, options_.vocabulary);
    for (const auto task : options_.tasks) {
      for (const auto length : options_.lengths) {
        const auto report = reporting(name_of(task) + " at " + std::to_string(length));
        const auto scores =
            score_probes(model_, vocabulary,
                         {.spec = {task, options_.bands, length, options_.questions},
                          .items = options_.items,
                          .seed = options_.seed,
                          .progress = [&](std::int64_t done) { report(done, options_.items); }});
        probes.push_back(probe_json(task, length, vocabulary, scores));
      }
    }
    return probes;
  }

 private:
  std::function<void(std::int64_t, std::int64_t)> reporting(std::string what) const {
    return [this, what = std::move(what)](std::int64_t done, std::int64_t total) {
      if (options_.progress) options_.progress(what, done, total);
    };
  }

  Perplexity perplexity_at(std::int64_t length) const {
    return evaluate_perplexity(model_, tokenizer_, text_.validation,
                               {.length = length,
                                .max_tokens = options_.max_tokens,
                                .document_mask = text_.document_mask,
                                .progress = reporting("loss at length " + std::to_string(length))});
  }

  static Json bigrams_json(const TextRecall& recall) {
    Json rows = Json::array();
    const auto add = [&](const std::string& name, const WindowLosses& losses) {
      rows.push_back({{"class", name}, {"nats", losses.nats}, {"tokens", losses.tokens}});
    };
    for (const auto band : kAllDistanceBands) add(name_of(band), recall.recall_in(band));
    add("rest", recall.rest);
    return rows;
  }

  static Json probe_json(ProbeTask task, std::int64_t length, const ProbeVocabulary& vocabulary,
                         const std::vector<AnswerScore>& scores) {
    Json item = Json::array(), distance = Json::array(), log_likelihood = Json::array(),
         exact = Json::array();
    for (const auto& score : scores) {
      item.push_back(score.item);
      distance.push_back(score.distance);
      log_likelihood.push_back(score.log_likelihood);
      exact.push_back(score.is_exact ? 1 : 0);
    }
    return {{"task", name_of(task)},
            {"length", length},
            {"values", vocabulary.values().size()},
            {"chance", chance_of_hit(task, vocabulary, scores)},
            {"item", item},
            {"distance", distance},
            {"log_likelihood", log_likelihood},
            {"exact", exact}};
  }

  // By guessing, of what is counted: an answer where a probe asks for several, else all answer
  // tokens of a probe.
  static double chance_of_hit(ProbeTask task, const ProbeVocabulary& vocabulary,
                              const std::vector<AnswerScore>& scores) {
    if (task == ProbeTask::associative_recall) return vocabulary.chance();
    const auto answers = std::count_if(scores.begin(), scores.end(), [&](const AnswerScore& score) {
      return score.item == scores.front().item;
    });
    return std::pow(vocabulary.chance(), static_cast<double>(answers));
  }

  ZebraModel& model_;
  const Tokenizer& tokenizer_;
  const RecallText& text_;
  const RecallOptions& options_;
};

}  // namespace

Json evaluate_recall(ZebraModel& model, const Tokenizer& tokenizer, const RecallText& text,
                     const RecallOptions& options) {
  check(options);
  const RecallEvaluation evaluation(model, tokenizer, text, options);
  Json result = {{"length", text.length},
                 {"bands", {{"window", options.bands.window}, {"layers", options.bands.layers}}}};
  result["text"] = text.validation.empty() ? Json() : evaluation.text();
  result["probes"] = evaluation.probes();
  return result;
}

}  // namespace zebra
