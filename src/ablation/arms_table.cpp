#include "ablation/arms_table.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kPatternLetters = 12;

/// Smallest p such that letter i equals letter i - p.
std::size_t period_of(const std::string& pattern) {
  for (std::size_t period = 1; period < pattern.size(); ++period) {
    if (std::equal(pattern.begin() + static_cast<std::ptrdiff_t>(period), pattern.end(),
                   pattern.begin())) {
      return period;
    }
  }
  return pattern.size();
}

bool has_local_layers(const Arm& arm) { return arm.config.model.has(LayerKind::local); }

double relative_cost(const Arm& arm, const std::vector<Arm>& arms) {
  return arm.cost.flops / arms.front().cost.flops;
}

/// Sums over the arms.
struct Total {
  std::int64_t tokens = 0;
  double flops = 0.0;
};

Total total_of(const std::vector<Arm>& arms) {
  Total total;
  for (const Arm& arm : arms) {
    total.tokens += arm.cost.tokens;
    total.flops += arm.cost.flops;
  }
  return total;
}

using Row = std::vector<std::string>;

Row row_of(const Arm& arm, const std::vector<Arm>& arms) {
  const ModelConfig& model = arm.config.model;
  return {arm.name,
          short_pattern(pattern_of(model.layers)),
          has_local_layers(arm) ? std::to_string(model.window_size) : "-",
          with_commas(arm.cost.parameters),
          with_commas(arm.cost.steps),
          with_suffix(static_cast<double>(arm.cost.tokens)),
          scientific(arm.cost.flops),
          fixed(relative_cost(arm, arms), 3)};
}

Json arm_json(const Arm& arm, const std::vector<Arm>& arms) {
  const ModelConfig& model = arm.config.model;
  Json settings = Json::object();
  for (const Setting& setting : arm.settings) settings[setting.key] = setting.value;
  return {{"name", arm.name},
          {"group", arm.group},
          {"seed", arm.seed},
          {"settings", settings},
          {"attention_pattern", pattern_of(model.layers)},
          {"window_size", has_local_layers(arm) ? Json(model.window_size) : Json()},
          {"intermediate_size", model.intermediate_size},
          {"parameters", arm.cost.parameters},
          {"steps", arm.cost.steps},
          {"tokens", arm.cost.tokens},
          {"training_flops_per_token", arm.cost.flops_per_token},
          {"training_flops", arm.cost.flops},
          {"relative_cost", relative_cost(arm, arms)}};
}

}  // namespace

std::string short_pattern(const std::string& pattern) {
  if (pattern.size() <= kPatternLetters) return pattern;
  const std::size_t period = period_of(pattern);
  const std::size_t times = pattern.size() / period;
  if (period > kPatternLetters || times == 1) {
    return pattern.substr(0, kPatternLetters) + "... (" + std::to_string(pattern.size()) + ")";
  }
  const std::string rest = pattern.substr(times * period);
  return pattern.substr(0, period) + " x " + std::to_string(times) +
         (rest.empty() ? "" : " + " + rest);
}

std::string arms_table(const std::vector<Arm>& arms) {
  std::vector<Row> rows = {
      {"arm", "layers", "window", "parameters", "steps", "tokens", "FLOPs", "of first"}};
  for (const Arm& arm : arms) rows.push_back(row_of(arm, arms));
  const Total total = total_of(arms);
  const std::string count = std::to_string(arms.size()) + (arms.size() == 1 ? " arm" : " arms");
  rows.push_back({"total, " + count, "", "", "", "", with_suffix(static_cast<double>(total.tokens)),
                  scientific(total.flops), fixed(total.flops / arms.front().cost.flops, 3)});
  return text_table(rows, "llr");
}

nlohmann::ordered_json arms_json(const std::vector<Arm>& arms) {
  Json json;
  json["arms"] = Json::array();
  for (const Arm& arm : arms) json["arms"].push_back(arm_json(arm, arms));
  const Total total = total_of(arms);
  json["total"] = {
      {"arms", arms.size()}, {"tokens", total.tokens}, {"training_flops", total.flops}};
  return json;
}

}  // namespace zebra
