// What an evaluation of recall found, as JSON and as tables.

#include <cmath>
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
  return json;
}

Json probe_json(const ProbeResult& probe) {
  Json item = Json::array(), distance = Json::array(), log_likelihood = Json::array(),
       exact = Json::array();
  for (const auto& answer : probe.answers) {
    item.push_back(answer.item);
    distance.push_back(answer.distance);
    log_likelihood.push_back(answer.log_likelihood);
    exact.push_back(answer.is_exact ? 1 : 0);
  }
  Json json;
  json["task"] = name_of(probe.task);
  json["length"] = probe.length;
  json["values"] = probe.values;
  json["chance"] = probe.chance;
  json["item"] = item;
  json["distance"] = distance;
  json["log_likelihood"] = log_likelihood;
  json["exact"] = exact;
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
};

std::string probe_lines(const ProbeResult& probe, const DistanceBands& bands) {
  std::map<DistanceBand, BandScore> scores;
  for (const auto& answer : probe.answers) {
    auto& score = scores[bands.band_of(answer.distance)];
    score.log_likelihood += answer.log_likelihood;
    score.exact += answer.is_exact ? 1 : 0;
    score.answers += 1;
  }
  const double chance = 1.0 / static_cast<double>(probe.values);  // of one answer token
  std::string lines;
  for (const auto& [band, score] : scores) {
    lines += formatted("%-20s %6lld  %-8s  %9.4f  %6.3f  %7.4f  %6.3f  %8.0f\n",
                       name_of(probe.task).c_str(), static_cast<long long>(probe.length),
                       name_of(band).c_str(), score.log_likelihood / score.answers,
                       score.exact / score.answers, std::log(chance), chance, score.answers);
  }
  return lines;
}

}  // namespace

Json recall_json(const RecallResult& result) {
  Json json;
  json["length"] = result.length;
  json["bands"]["window"] = result.bands.window;
  json["bands"]["layers"] = result.bands.layers;
  json["text"] = result.text ? text_json(*result.text) : Json();
  json["probes"] = Json::array();
  for (const auto& probe : result.probes) json["probes"].push_back(probe_json(probe));
  return json;
}

std::string recall_text(const RecallResult& result) {
  std::string text = formatted(
      "bands of distance: control up to %lld, relay up to %lld, beyond only by global layers\n\n",
      static_cast<long long>(result.bands.window), static_cast<long long>(result.bands.reach()));
  if (result.text) text += text_table_of(*result.text);
  if (result.probes.empty()) return text;
  text += "\nprobe                length  band      log-lik.   exact   chance  chance   answers\n";
  for (const auto& probe : result.probes) text += probe_lines(probe, result.bands);
  return text;
}

}  // namespace zebra
