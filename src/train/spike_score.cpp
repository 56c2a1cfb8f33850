#include "train/spike_score.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

namespace zebra {
namespace {

// Values that differ by less, as a share of their mean, are equal: their mean is rounded.
constexpr double kRounding = 1e-12;

double score(const std::deque<double>& recent, double value) {
  const auto count = static_cast<double>(recent.size());
  double mean = 0.0, variance = 0.0;
  for (const double earlier : recent) mean += earlier / count;
  for (const double earlier : recent) variance += (earlier - mean) * (earlier - mean) / count;
  const double deviation = std::sqrt(variance);
  return deviation <= kRounding * std::abs(mean) ? 0.0 : (value - mean) / deviation;
}

}  // namespace

std::optional<double> SpikeScore::add(double value) {
  if (!std::isfinite(value)) return std::nullopt;
  auto& recent = state_.recent;
  std::optional<double> scored;
  if (recent.size() >= kFewestValues) {
    scored = score(recent, value);
    state_.highest = std::max(state_.highest.value_or(*scored), *scored);
  }
  recent.push_back(value);
  if (recent.size() > kMostValues) recent.pop_front();
  return scored;
}

std::optional<double> SpikeScore::take_highest() {
  return std::exchange(state_.highest, std::nullopt);
}

void to_json(nlohmann::ordered_json& json, const SpikeScore::State& state) {
  json = {{"recent", state.recent}};
  if (state.highest) json["highest"] = *state.highest;
}

void from_json(const nlohmann::ordered_json& json, SpikeScore::State& state) {
  json.at("recent").get_to(state.recent);
  if (json.contains("highest")) json.at("highest").get_to(state.highest.emplace());
}

}  // namespace zebra
