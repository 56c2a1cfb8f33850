// What an evaluation of recall found, as JSON and as tables.

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "config/names.h"
#include "eval/recall.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

Json bigrams_json(const TextRecall& recall) {
  Json rows = Json::array();
  const auto add = [&](const std::string& name, const SampleLosses& losses) {
    Json& row = rows.emplace_back();
    row["class"] = name;
    row["nats"] = losses.nats;
    row["tokens"] = losses.tokens;
  };
  for (const auto band : kAllDistanceBands) add(name_of(band), recall.recall_in(band));
  add("rest", recall.rest);
  return rows;
}

Json text_json(const TextRecallResult& text) {
  Json json;
  json["loss"] = text.perplexity.loss();
  json["tokens"] = text.perplexity.tokens;
  json["by_position"] = by_position_json(text.perplexity);
  json["by_visible"] = by_visible_json(text.perplexity);
  json["by_length"] = Json::array();
  for (const auto& [length, loss] : text.by_length) {
    Json& row = json["by_length"].emplace_back();
    row["length"] = length;
    row["loss"] = loss;
  }
  if (text.perplexity.by_dataset.size() > 1) json["by_dataset"] = by_dataset_json(text.perplexity);
  json["bigrams"] = bigrams_json(text.recall);
  json["context"]["full"] = text.recall.context.full;
  json["context"]["cut"] = text.recall.context.cut;
  json["long_context"]["kept"] = short_context(text.perplexity.length);
  json["long_context"]["full"] = text.recall.long_context.full;
  json["long_context"]["cut"] = text.recall.long_context.cut;
  return json;
}

Json exact_json(const ProbeResult& probe) {
  Json exact = Json::array();
  for (const auto& answer : probe.answers) exact.push_back(answer.is_exact ? 1 : 0);
  return exact;
}

Json probe_json(const ProbeResult& probe) {
  Json item = Json::array(), distance = Json::array(), log_likelihood = Json::array(),
       blind = Json::array();
  for (const auto& answer : probe.answers) {
    item.push_back(answer.item);
    distance.push_back(answer.distance);
    log_likelihood.push_back(answer.log_likelihood);
    blind.push_back(answer.key_blind_hits);
  }
  Json json;
  json["task"] = name_of(probe.task);
  json["length"] = probe.length;
  if (probe.difficulty.pairs > 0) json["pairs"] = probe.difficulty.pairs;
  if (probe.task == ProbeTask::variable_tracking) json["hops"] = probe.difficulty.hops;
  json["values"] = probe.values;
  json["chance"] = probe.chance;
  json["item"] = item;
  json["distance"] = distance;
  json["log_likelihood"] = log_likelihood;
  json["exact"] = exact_json(probe);
  json["strategies"] = key_blind_strategies();
  json["blind"] = blind;
  return json;
}

template <class... Values>
std::string formatted(const char* format, const Values&... values) {
  char line[160];
  std::snprintf(line, sizeof line, format, values...);
  return line;
}

std::string pairs_line(const std::string& name, const SampleLosses& losses) {
  double nats = 0, tokens = 0;
  for (const auto value : losses.nats) nats += value;
  for (const auto value : losses.tokens) tokens += static_cast<double>(value);
  return formatted("  %-28s  %8s  %10s\n", name.c_str(),
                   tokens > 0 ? fixed(nats / tokens, 4).c_str() : "-",
                   with_commas(static_cast<std::int64_t>(tokens)).c_str());
}

std::string text_table_of(const TextRecallResult& text) {
  std::string lines = formatted("text        loss %.4f  (%s tokens)\n", text.perplexity.loss(),
                                with_commas(text.perplexity.tokens).c_str());
  for (const auto& [length, loss] : text.by_length)
    lines += formatted("  length %-6lld %8.4f\n", static_cast<long long>(length), loss);
  lines += "repeated pairs, rare in training    loss      tokens\n";
  for (const auto band : kAllDistanceBands)
    lines += pairs_line(name_of(band), text.recall.recall_in(band));
  lines += pairs_line("rest", text.recall.rest);
  const auto& [full, cut] = text.recall.context;
  if (full.empty()) return lines;  // no document is longer than a window
  double gain = 0;
  for (std::size_t i = 0; i < full.size(); ++i) gain += cut[i] - full[i];
  return lines + formatted("context beyond one window saves %.4f nats a token (%zu targets)\n",
                           gain / static_cast<double>(full.size()), full.size());
}

// Sums of one band.
struct BandScore {
  double log_likelihood = 0, exact = 0, answers = 0;
  std::vector<double> key_blind = std::vector<double>(key_blind_strategies().size());

  void add(const AnswerScore& score) {
    log_likelihood += score.log_likelihood;
    exact += score.is_exact ? 1 : 0;
    answers += 1;
    for (std::size_t k = 0; k < key_blind.size(); ++k)
      key_blind[k] += (score.key_blind_hits >> k & 1U) != 0 ? 1 : 0;
  }
};

// The task, with what sets it apart from others of its kind.
std::string name_of_probe(const ProbeResult& probe) {
  auto name = name_of(probe.task);
  if (probe.difficulty.pairs > 0) name += ", " + std::to_string(probe.difficulty.pairs) + " pairs";
  if (probe.task == ProbeTask::variable_tracking && probe.difficulty.hops != ProbeDifficulty{}.hops)
    name += ", " + std::to_string(probe.difficulty.hops) + " hops";
  return name;
}

std::string probe_lines(const ProbeResult& probe, const DistanceBands& bands) {
  std::map<DistanceBand, BandScore> scores;
  for (const auto& answer : probe.answers) scores[bands.band_of(answer.distance)].add(answer);
  std::string lines;
  for (const auto& [band, score] : scores) {
    const auto best = std::ranges::max_element(score.key_blind);
    const auto& strategy =
        key_blind_strategies()[static_cast<std::size_t>(best - score.key_blind.begin())];
    lines += formatted("%-28s %6lld  %-8s  %9.4f  %6.3f  %6.3f  %-25s  %8.0f\n",
                       name_of_probe(probe).c_str(), static_cast<long long>(probe.length),
                       name_of(band).c_str(), score.log_likelihood / score.answers,
                       score.exact / score.answers, *best / score.answers, strategy.c_str(),
                       score.answers);
  }
  return lines;
}

}  // namespace

Json asked_json(const RecallOptions& options, bool earlier) {
  Json json;
  json["probe_version"] = kProbeVersion;
  json["window"] = options.bands.window;
  json["layers"] = options.bands.layers;
  json["lengths"] = options.lengths;
  json["tasks"] = Json::array();
  for (const auto task : options.tasks) json["tasks"].push_back(name_of(task));
  json["items"] = options.items;
  json["keys"] = options.vocabulary.keys;
  json["values"] = options.vocabulary.values;
  json["fillers"] = options.vocabulary.fillers;
  json["questions"] = options.questions;
  json["pairs"] = options.pairs;
  json["hops"] = options.hops;
  json["seed"] = options.seed;
  json["max_tokens"] = options.max_tokens;
  json["earlier"] = earlier;
  return json;
}

Json recall_json(const RecallResult& result) {
  Json json;
  json["length"] = result.length;
  json["bands"]["window"] = result.bands.window;
  json["bands"]["layers"] = result.bands.layers;
  json["text"] = result.text ? text_json(*result.text) : Json();
  json["probe_version"] = kProbeVersion;
  json["probes"] = Json::array();
  for (std::size_t i = 0; i < result.probes.size(); ++i) {
    Json probe = probe_json(result.probes[i]);
    if (!result.earlier.empty()) probe["earlier"] = Json::array();
    for (const auto& earlier : result.earlier)
      probe["earlier"].push_back(
          {{"step", earlier.step}, {"exact", exact_json(earlier.probes[i])}});
    json["probes"].push_back(std::move(probe));
  }
  return json;
}

std::string recall_text(const RecallResult& result) {
  std::string text = formatted(
      "bands of distance: control up to %lld, relay up to %lld, beyond only by global layers\n\n",
      static_cast<long long>(result.bands.window), static_cast<long long>(result.bands.reach()));
  if (result.text) text += text_table_of(*result.text);
  if (result.probes.empty()) return text;
  text +=
      "\nprobe                        length  band       log-lik.   exact   floor  of a reader "
      "without keys   answers\n";
  for (const auto& probe : result.probes) text += probe_lines(probe, result.bands);
  return text;
}

}  // namespace zebra
