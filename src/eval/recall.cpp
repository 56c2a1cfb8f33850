#include "eval/recall.h"

#include <algorithm>
#include <cmath>
#include <ranges>
#include <set>

#include "base/error.h"
#include "config/names.h"

namespace zebra {
namespace {

torch::Tensor token_tensor(const std::vector<ProbeSequence>& probes) {
  const auto length = static_cast<std::int64_t>(probes.front().tokens.size());
  auto tokens = torch::empty({static_cast<std::int64_t>(probes.size()), length}, torch::kInt64);
  auto* out = tokens.mutable_data_ptr<std::int64_t>();
  for (const auto& probe : probes) out = std::copy(probe.tokens.begin(), probe.tokens.end(), out);
  return tokens;
}

// Indices of the tokens that predict answers, in the flattened batch.
torch::Tensor predicting_positions(const std::vector<ProbeSequence>& probes) {
  std::vector<std::int64_t> positions;
  std::int64_t begin = 0;
  for (const auto& probe : probes) {
    for (const auto& answer : probe.answers) positions.push_back(begin + answer.position - 1);
    begin += static_cast<std::int64_t>(probe.tokens.size());
  }
  return torch::tensor(positions, torch::kInt64);
}

torch::Tensor answer_tokens(const std::vector<ProbeSequence>& probes) {
  std::vector<std::int64_t> tokens;
  for (const auto& probe : probes)
    for (const auto& answer : probe.answers) tokens.push_back(answer.token);
  return torch::tensor(tokens, torch::kInt64).unsqueeze(1);
}

// How far its local layers relay what they see; no distance where there are none.
std::int64_t own_reach_of(const ModelConfig& model) {
  const auto layers = std::ranges::count(model.layers, LayerKind::local);
  return layers == 0 ? 0 : DistanceBands{model.window_size, layers}.reach();
}

void score_batch(ZebraModel& model, const ProbeVocabulary& vocabulary, const ProbeSpec& spec,
                 const std::vector<ProbeSequence>& probes, std::int64_t first_item,
                 std::vector<AnswerScore>& scores) {
  const auto device = model->embedding_weight.device();
  const auto own_reach = own_reach_of(model->config());
  const auto tokens = token_tensor(probes);
  const auto positions = predicting_positions(probes);
  const auto answers = answer_tokens(probes);
  const auto hidden = model->forward(tokens.to(device)).flatten(0, 1);
  const auto logits =
      model->logits(hidden.index_select(0, positions.to(device))).to(torch::kFloat32);
  const auto of_answers = logits.gather(1, answers.to(device));
  const auto log_likelihood = (of_answers - logits.logsumexp(1, /*keepdim=*/true)).cpu();
  const auto is_exact = (of_answers >= logits.amax(1, /*keepdim=*/true)).cpu();

  const float* likelihood = log_likelihood.const_data_ptr<float>();
  const bool* exact = is_exact.const_data_ptr<bool>();
  for (std::size_t row = 0; row < probes.size(); ++row) {
    const auto item = first_item + static_cast<std::int64_t>(row);
    const auto hits =
        key_blind_hits(spec, vocabulary, probes[row], static_cast<std::uint64_t>(item), own_reach);
    for (std::size_t i = 0; i < hits.size(); ++i) {
      const auto distance = probes[row].answers[i].distance;
      scores.push_back({item, distance, hits[i], *likelihood++, *exact++});
    }
  }
}

}  // namespace

std::vector<AnswerScore> score_probes(ZebraModel& model, const ProbeVocabulary& vocabulary,
                                      const ProbeEvaluation& evaluation) {
  const torch::NoGradGuard no_grad;
  const auto rows = rows_of_batch(evaluation.spec.length);
  std::vector<AnswerScore> scores;
  for (std::int64_t first = 0; first < evaluation.items; first += rows) {
    std::vector<ProbeSequence> probes;
    for (auto item = first; item < std::min(first + rows, evaluation.items); ++item) {
      probes.push_back(
          make_probe(evaluation.spec, vocabulary,
                     {ProbeSplit::evaluation, evaluation.seed, static_cast<std::uint64_t>(item)}));
    }
    score_batch(model, vocabulary, evaluation.spec, probes, first, scores);
    if (evaluation.progress) evaluation.progress(std::min(first + rows, evaluation.items));
  }
  return scores;
}

namespace {

void check(const RecallOptions& options) {
  Problems problems;
  check_distance_bands(options.bands, problems);
  check_probe_vocabulary_sizes(options.vocabulary, problems);
  check_probes(options.tasks, options.lengths, options.pairs, options.hops, options.vocabulary.keys,
               problems);
  problems.throw_if_any();
}

using Report = std::function<void(std::int64_t done, std::int64_t total)>;

Report reporting(const RecallOptions& options, std::string what) {
  return [&options, what = std::move(what)](std::int64_t done, std::int64_t total) {
    if (options.progress) options.progress(what, done, total);
  };
}

Perplexity perplexity_at(std::int64_t length, ZebraModel& model, const Tokenizer& tokenizer,
                         const RecallText& text, const RecallOptions& options) {
  return evaluate_perplexity(
      model, tokenizer, text.validation,
      {.length = length,
       .max_tokens = options.max_tokens,
       .document_mask = text.document_mask,
       .weights = text.weights,
       .progress = reporting(options, "loss at length " + std::to_string(length))});
}

TextRecallResult evaluate_text(ZebraModel& model, const Tokenizer& tokenizer,
                               const RecallText& text, const RecallOptions& options) {
  TextRecallResult result;
  result.perplexity = perplexity_at(text.length, model, tokenizer, text, options);
  const std::set<std::int64_t> lengths(options.lengths.begin(), options.lengths.end());
  for (const auto length : lengths) {
    const auto loss = length == text.length
                          ? result.perplexity.loss()
                          : perplexity_at(length, model, tokenizer, text, options).loss();
    result.by_length.emplace_back(length, loss);
  }
  result.recall =
      evaluate_text_recall(model, text.train, text.validation,
                           {.length = text.length,
                            .max_tokens = options.max_tokens,
                            .bands = options.bands,
                            .document_mask = text.document_mask,
                            .seed = options.seed,
                            .progress = reporting(options, "repeated pairs of the text")});
  return result;
}

// By guessing, of what is counted: an answer where a probe asks for several, else all answer tokens
// of a probe.
double chance_of_hit(ProbeTask task, const ProbeVocabulary& vocabulary,
                     const std::vector<AnswerScore>& scores) {
  if (task == ProbeTask::associative_recall) return vocabulary.chance();
  const auto answers = std::count_if(scores.begin(), scores.end(), [&](const AnswerScore& score) {
    return score.item == scores.front().item;
  });
  return std::pow(vocabulary.chance(), static_cast<double>(answers));
}

ProbeResult evaluate_probe(ZebraModel& model, const ProbeVocabulary& vocabulary,
                           const ProbeSpec& spec, const RecallOptions& options) {
  const auto report = reporting(options, name_of(spec.task) + " at " + std::to_string(spec.length));
  auto answers =
      score_probes(model, vocabulary,
                   {.spec = spec,
                    .items = options.items,
                    .seed = options.seed,
                    .progress = [&](std::int64_t done) { report(done, options.items); }});
  const double chance = chance_of_hit(spec.task, vocabulary, answers);
  return {spec.task, spec.length,       spec.difficulty, vocabulary.values().size(),
          chance,    std::move(answers)};
}

}  // namespace

std::vector<ProbeResult> evaluate_probes(ZebraModel& model, const Tokenizer& tokenizer,
                                         const RecallOptions& options) {
  std::vector<ProbeResult> probes;
  if (options.tasks.empty()) return probes;
  const ProbeVocabulary vocabulary(tokenizer, options.vocabulary);
  for (const auto task : options.tasks) {
    for (const auto& difficulty : difficulties_of(task, options.pairs, options.hops)) {
      for (const auto length : options.lengths) {
        const ProbeSpec spec = {task, options.bands, length, options.questions, difficulty};
        probes.push_back(evaluate_probe(model, vocabulary, spec, options));
      }
    }
  }
  return probes;
}

RecallResult evaluate_recall(ZebraModel& model, const Tokenizer& tokenizer, const RecallText& text,
                             const RecallOptions& options) {
  check(options);
  RecallResult result = {text.length, options.bands, {}, {}};
  if (!text.validation.empty()) result.text = evaluate_text(model, tokenizer, text, options);
  result.probes = evaluate_probes(model, tokenizer, options);
  return result;
}

void require_finite(const RecallResult& result) {
  const auto all_finite = [](const auto& values) {
    return std::ranges::all_of(values, [](double value) { return std::isfinite(value); });
  };
  std::vector<std::string> found;
  if (result.text) {
    auto losses = result.text->by_length;
    losses.emplace_back(result.text->perplexity.length, result.text->perplexity.loss());
    std::set<std::int64_t> lengths;
    for (const auto& [length, loss] : losses)
      if (!std::isfinite(loss)) lengths.insert(length);
    for (const auto length : lengths)
      found.push_back("the loss at length " + std::to_string(length));
    const auto& recall = result.text->recall;
    const bool is_sound =
        all_finite(recall.rest.nats) && all_finite(recall.context.full) &&
        all_finite(recall.context.cut) && all_finite(recall.long_context.full) &&
        all_finite(recall.long_context.cut) &&
        std::ranges::all_of(recall.recall, [&](const auto& band) { return all_finite(band.nats); });
    if (!is_sound) found.push_back("the loss of repeated pairs");
  }
  const auto add_probes = [&](const std::vector<ProbeResult>& probes, const std::string& when) {
    for (const auto& probe : probes) {
      if (!all_finite(probe.answers | std::views::transform(&AnswerScore::log_likelihood)))
        found.push_back(name_of(probe.task) + " at " + std::to_string(probe.length) + when);
    }
  };
  add_probes(result.probes, "");
  // Of these only hits are shown, in which what is not finite looks like a miss.
  for (const auto& earlier : result.earlier)
    add_probes(earlier.probes, " in step " + std::to_string(earlier.step));
  if (!found.empty()) throw RunError(join(found, ", ") + kNotFinite);
}

}  // namespace zebra
