#include "ablation/results.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "ablation/sweep_folder.h"
#include "base/build_info.h"
#include "base/error.h"
#include "base/file.h"
#include "base/system.h"
#include "config/names.h"
#include "plan/model_cost.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kCacheValueBytes = 2;  // bfloat16

Json parse_lines(const std::filesystem::path& path) {
  Json rows = Json::array();
  if (!std::filesystem::exists(path)) return rows;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    auto row = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (row.is_object()) rows.push_back(std::move(row));  // the last line may be half-written
  }
  return rows;
}

Json parse_file(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return {};
  try {
    return Json::parse(read_file(path));
  } catch (const Json::exception&) {
    throw InputError(path.string() + ": is not JSON; remove it, and it is measured again");
  }
}

const char* state_name(ArmState state) {
  switch (state) {
    case ArmState::finished:
      return "finished";
    case ArmState::failed:
      return "failed";
    case ArmState::unfinished:
      break;
  }
  return "unfinished";
}

Json cache_json(const ModelConfig& model) {
  Json bytes;
  for (const std::int64_t length : {4096, 32768, 131072})
    bytes[std::to_string(length)] = key_value_cache_bytes(model, length, kCacheValueBytes);
  return bytes;
}

/// What metrics.jsonl tells, in the order of its rows.
class Curves {
 public:
  Curves(const Json& rows, const Arm& arm) {
    const auto& config = arm.config;
    const double tokens_per_step =
        static_cast<double>(config.train.global_batch_size * config.data.sequence_length);
    for (const auto& row : rows) {
      const double step = row.value("step", 0.0), tokens = step * tokens_per_step;
      const auto point = [&](const char* key) {
        return Json{{"step", row["step"]},
                    {"tokens", tokens},
                    {"training_flops", tokens * arm.cost.flops_per_token},
                    {"loss", row[key]}};
      };
      if (row.contains("validation_loss")) validation.push_back(point("validation_loss"));
      if (!row.contains("loss")) continue;
      training.push_back(point("loss"));
      tokens_per_second.push_back(row.value("tokens_per_second", 0.0));
      seconds = row.value("seconds", 0.0);
      if (row.contains("memory_gib")) memory = std::max(memory, row["memory_gib"].get<double>());
    }
  }

  Json median_tokens_per_second() const {
    if (tokens_per_second.empty()) return {};
    auto sorted = tokens_per_second;
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
  }

  Json training = Json::array(), validation = Json::array();
  std::vector<double> tokens_per_second;
  double seconds = 0, memory = 0;
};

Json settings_json(const Arm& arm) {
  Json settings = Json::object();
  for (const auto& setting : arm.settings) settings[setting.key] = setting.value;
  return settings;
}

Json arm_json(const Arm& arm, const std::filesystem::path& sweep) {
  const ArmPaths paths(sweep, arm.name);
  const auto status = read_arm_status(paths);
  const auto& model = arm.config.model;
  const Curves curves(parse_lines(paths.metrics()), arm);
  Json json = {
      {"name", arm.name},
      {"group", arm.group},
      {"seed", arm.seed},
      {"settings", settings_json(arm)},
      {"state", state_name(status.state)},
      {"reason", status.reason},
      {"step", read_arm_progress(paths.metrics()).step},
      {"steps", arm.cost.steps},
      {"layout", pattern_of(model.layers)},
      {"window_size",
       model.window_size > 0 || model.has(LayerKind::local) ? Json(model.window_size) : Json()},
      {"parameters", arm.cost.parameters},
      {"training_flops", arm.cost.flops},
      {"training_flops_per_token", arm.cost.flops_per_token},
      {"tokens", arm.cost.tokens},
      {"key_value_cache_bytes", cache_json(model)},
      {"tokens_per_second", curves.median_tokens_per_second()},
      {"peak_memory_gib", curves.memory > 0 ? Json(curves.memory) : Json()},
      {"seconds", curves.seconds},
      {"curve", curves.training},
      {"validation_curve", curves.validation}};
  json["recall"] = status.state == ArmState::finished ? parse_file(paths.recall()) : Json();
  return json;
}

}  // namespace

Json collect_results(const Ablation& ablation) {
  const auto& sweep = ablation.sweep;
  Json results = {
      {"name", sweep.name},
      {"zebra", std::string(kVersion) + " (" + kCommit + ")"},
      {"machine", machine_name()},
      {"sequence_length", ablation.arms.front().config.data.sequence_length},
      {"budget", name_of(sweep.budget)},
      {"bands", {{"window", ablation.bands.window}, {"layers", ablation.bands.layers}}}};
  results["arms"] = Json::array();
  for (const auto& arm : ablation.arms) results["arms"].push_back(arm_json(arm, sweep.dir));
  results["cost"] = parse_file(cost_file(sweep.dir));
  return results;
}

void write_report(const Ablation& ablation) {
  const auto folder = ablation.sweep.dir / "report";
  std::filesystem::create_directories(folder);
  const auto results = folder / "results.json";
  write_file_atomically(results, collect_results(ablation).dump() + "\n");
  run_python_script("ablation_report", {results.string(), "--output", folder.string()});
}

}  // namespace zebra
