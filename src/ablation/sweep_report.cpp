#include "ablation/sweep_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "ablation/probes.h"
#include "base/build_info.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json_reader.h"
#include "base/log.h"
#include "base/system.h"
#include "base/text.h"
#include "config/data_stages.h"
#include "config/names.h"
#include "plan/model_cost.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kPatternLetters = 12;
constexpr std::size_t kMostLinesNamed = 8;

/// Smallest p such that letter i equals letter i - p.
std::size_t period_of(const std::string& pattern) {
  std::size_t period = 1;
  while (!pattern.starts_with(pattern.substr(period))) ++period;
  return period;
}

double relative_cost(const Arm& arm, const std::vector<Arm>& arms) {
  return arm.cost.flops / arms.front().cost.flops;
}

/// Sums over the arms.
ArmCost total_of(const std::vector<Arm>& arms) {
  ArmCost total;
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
          model.has(LayerKind::local) ? std::to_string(model.window_size) : "-",
          with_commas(arm.cost.parameters),
          with_commas(arm.cost.steps),
          with_suffix(static_cast<double>(arm.cost.tokens)),
          scientific(arm.cost.flops),
          fixed(relative_cost(arm, arms), 3)};
}

Json settings_json(const Arm& arm) {
  Json settings = Json::object();
  for (const auto& setting : arm.settings) settings[setting.key] = setting.value;
  return settings;
}

Json cost_json(const Arm& arm, const std::vector<Arm>& arms) {
  const ModelConfig& model = arm.config.model;
  return {{"name", arm.name},
          {"group", arm.group},
          {"seed", arm.seed},
          {"settings", settings_json(arm)},
          {"attention_pattern", pattern_of(model.layers)},
          {"window_size", model.has(LayerKind::local) ? Json(model.window_size) : Json()},
          {"intermediate_size", model.intermediate_size},
          {"parameters", arm.cost.parameters},
          {"steps", arm.cost.steps},
          {"tokens", arm.cost.tokens},
          {"training_flops_per_token", arm.cost.flops_per_token},
          {"training_flops", arm.cost.flops},
          {"relative_cost", relative_cost(arm, arms)}};
}

Json cache_json(const ModelConfig& model) {
  Json bytes;
  for (const std::int64_t length : {4096, 32768, 131072})
    bytes[std::to_string(length)] = key_value_cache_bytes(model, length, kCacheValueBytes);
  return bytes;
}

/// The sums over rows of what each source gave.
void add_sources(const std::vector<SourceMetrics>& sources, std::vector<SourceMetrics>& sums) {
  sums.resize(std::max(sums.size(), sources.size()));
  for (std::size_t s = 0; s < sources.size(); ++s) {
    sums[s].samples += sources[s].samples;
    sums[s].targets += sources[s].targets;
    sums[s].loss_share += sources[s].loss_share;
  }
}

std::vector<SourceShares> shares_of(const std::vector<SourceMetrics>& sums) {
  SourceMetrics total;
  for (const auto& [samples, targets, loss_share] : sums) {
    total.samples += samples;
    total.targets += targets;
    total.loss_share += loss_share;
  }
  const auto share = [](double part, double whole) { return whole > 0.0 ? part / whole : 0.0; };
  std::vector<SourceShares> shares;
  for (const auto& [samples, targets, loss_share] : sums) {
    shares.push_back({share(samples, total.samples), share(targets, total.targets),
                      share(loss_share, total.loss_share)});
  }
  return shares;
}

/// The rows of metrics.jsonl. Its last line may be half-written; others that cannot be read are
/// left out, and told of.
void read_metrics(const std::filesystem::path& path, ArmResult& result) {
  if (!std::filesystem::exists(path)) return;
  std::istringstream lines(read_file(path));
  std::vector<double> speeds;
  std::vector<SourceMetrics> sources;
  std::vector<std::string> unreadable;
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const auto row = read_metrics_row(line);
    if (!row && !lines.eof()) unreadable.push_back(std::to_string(number));
    if (!row) continue;
    if (row->is_validation) result.validation.push_back({row->step, row->loss});
    if (!row->is_training) continue;
    result.training.push_back({row->step, row->loss});
    speeds.push_back(row->tokens_per_second);
    add_sources(row->sources, sources);
    result.seconds = row->seconds;
    if (row->memory_gib > result.peak_memory_gib.value_or(0.0))
      result.peak_memory_gib = row->memory_gib;
  }
  result.sources = shares_of(sources);
  if (!unreadable.empty()) {
    unreadable.resize(std::min<std::size_t>(unreadable.size(), kMostLinesNamed));
    log_warning(path.string() +
                ": the report goes without rows that cannot be read, such as line " +
                join(unreadable, ", "));
  }
  std::sort(speeds.begin(), speeds.end());
  if (!speeds.empty()) result.tokens_per_second = speeds[speeds.size() / 2];
}

/// The text of a file of JSON; empty where there is none.
std::string read_json(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return "";
  std::string text = read_file(path);
  const auto fault = json_object_fault(text);
  if (fault.empty()) return text;
  throw InputError(path.string() + ": " + fault + "; remove it, and it is measured again");
}

Json optional_json(const std::optional<double>& value) { return value ? Json(*value) : Json(); }
Json parsed(const std::string& text) { return text.empty() ? Json() : Json::parse(text); }

Json curve_json(const std::vector<CurvePoint>& curve, const Arm& arm) {
  const auto& config = arm.config;
  const auto tokens_per_step =
      static_cast<double>(config.train.global_batch_size * config.data.sequence_length);
  Json json = Json::array();
  for (const auto& point : curve) {
    const double tokens = static_cast<double>(point.step) * tokens_per_step;
    json.push_back(
        {{"step", point.step},
         {"tokens", tokens},
         {"training_flops",
          tokens * kTrainingPasses * mean_forward_flops_per_token(config, point.step).total()},
         {"loss", optional_json(point.loss)}});
  }
  return json;
}

/// Empty as long as an arm of several sources has not told what they gave.
Json sources_json(const Arm& arm, const ArmResult& result) {
  const auto sources = training_sources(arm.config.data);
  auto shares = result.sources;
  if (sources.size() == 1) shares = {{1.0, 1.0, 1.0}};
  Json json = Json::array();
  for (std::size_t s = 0; s < sources.size() && shares.size() == sources.size(); ++s) {
    json.push_back({{"name", sources[s].path.filename().string()},
                    {"samples_share", shares[s].samples},
                    {"targets_share", shares[s].targets},
                    {"loss_share", shares[s].loss}});
  }
  return json;
}

Json result_json(const Arm& arm, const ArmResult& result) {
  const auto& model = arm.config.model;
  const bool has_window = model.window_size > 0 || model.has(LayerKind::local);
  return {{"name", arm.name},
          {"group", arm.group},
          {"seed", arm.seed},
          {"settings", settings_json(arm)},
          {"state", name_of(result.status.state)},
          {"reason", result.status.reason},
          {"step", result.step},
          {"steps", arm.cost.steps},
          {"layout", pattern_of(model.layers)},
          {"window_size", has_window ? Json(model.window_size) : Json()},
          {"parameters", arm.cost.parameters},
          {"training_flops", arm.cost.flops},
          {"training_flops_per_token", arm.cost.flops_per_token},
          {"tokens", arm.cost.tokens},
          {"sources", sources_json(arm, result)},
          {"key_value_cache_bytes", cache_json(model)},
          {"tokens_per_second", optional_json(result.tokens_per_second)},
          {"peak_memory_gib", optional_json(result.peak_memory_gib)},
          {"seconds", result.seconds},
          {"curve", curve_json(result.training, arm)},
          {"validation_curve", curve_json(result.validation, arm)},
          {"recall", parsed(result.recall)}};
}

/// Where each arm stands, and what was measured for each size; the report's own cost is that of the
/// last.
void add_ladder(const Sweep& sweep, const SweepResults& results, Json& json) {
  const std::int64_t longest = longest_length(sweep);
  for (std::size_t i = 0; i < sweep.arms.size(); ++i)
    json["arms"][i]["ladder"] = ladder_json(sweep.arms[i], longest);
  json["ladder"] = {{"longest_length", longest}, {"cost", Json::object()}};
  const auto runs = cost_runs(sweep);
  for (std::size_t i = 0; i < runs.size(); ++i)
    json["ladder"]["cost"][runs[i].size] = parsed(results.cost[i]);
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
  const ArmCost total = total_of(arms);
  const std::string count = std::to_string(arms.size()) + (arms.size() == 1 ? " arm" : " arms");
  rows.push_back({"total, " + count, "", "", "", "", with_suffix(static_cast<double>(total.tokens)),
                  scientific(total.flops), fixed(total.flops / arms.front().cost.flops, 3)});
  return text_table(rows, "llr");
}

nlohmann::ordered_json arms_json(const std::vector<Arm>& arms) {
  Json json;
  json["arms"] = Json::array();
  for (const Arm& arm : arms) json["arms"].push_back(cost_json(arm, arms));
  const ArmCost total = total_of(arms);
  json["total"] = {
      {"arms", arms.size()}, {"tokens", total.tokens}, {"training_flops", total.flops}};
  return json;
}

SweepResults collect_results(const Sweep& sweep) {
  SweepResults results;
  for (const auto& arm : sweep.arms) {
    const ArmPaths paths(sweep.file.dir, arm.name);
    ArmResult& result = results.arms.emplace_back();
    result.status = read_arm_status(paths, goal_of(sweep, arm));
    result.step = read_arm_progress(paths.metrics()).step;
    read_metrics(paths.metrics(), result);
    if (result.status.state == ArmState::finished) result.recall = read_json(paths.recall());
  }
  for (const auto& run : cost_runs(sweep)) results.cost.push_back(read_json(run.output));
  return results;
}

nlohmann::ordered_json results_json(const Sweep& sweep, const SweepResults& results) {
  Json json = {{"name", sweep.file.name},
               {"zebra", std::string(kVersion) + " (" + kCommit + ")"},
               {"machine", machine_name()},
               {"sequence_length", sweep.arms.front().config.data.sequence_length},
               {"budget", sweep.file.ladder.is_given() ? "" : name_of(sweep.file.budget)},
               {"contrast", sweep.file.contrast},
               {"bands",
                {{"window", sweep.bands.window},
                 {"layers", sweep.bands.layers},
                 {"of", name_of(sweep.file.compare.bands)}}},
               {"arms", Json::array()}};
  for (std::size_t i = 0; i < sweep.arms.size(); ++i)
    json["arms"].push_back(result_json(sweep.arms[i], results.arms[i]));
  json["cost"] = parsed(results.cost.back());
  if (sweep.file.ladder.is_given()) add_ladder(sweep, results, json);
  return json;
}

std::filesystem::path write_results(const Sweep& sweep) {
  const auto file = results_file(sweep.file.dir);
  std::filesystem::create_directories(file.parent_path());
  write_file_atomically(file, json_text(results_json(sweep, collect_results(sweep))));
  return file;
}

std::filesystem::path write_report(const Sweep& sweep) {
  const auto file = write_results(sweep), folder = file.parent_path();
  run_python_script("ablation_report", {file.string(), "--output", folder.string()});
  return folder / "index.html";
}

}  // namespace zebra
