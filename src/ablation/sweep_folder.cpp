#include "ablation/sweep_folder.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "ablation/axes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json_reader.h"
#include "train/metrics_row.h"

namespace zebra {
namespace {

// A row is a few hundred bytes; a validation row may be longer.
constexpr std::streamoff kTailBytes = 1 << 16;

nlohmann::json parse_file(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return {};
  return nlohmann::json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
}

std::string text_at(const nlohmann::json& json, const char* key) {
  const nlohmann::json* value = member_of(json, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

std::optional<double> number_in(const nlohmann::json& json, const char* key) {
  const nlohmann::json* value = member_of(json, key);
  return value != nullptr && value->is_number() ? std::optional(value->get<double>())
                                                : std::nullopt;
}

/// What each source gave to the row's step; empty where that is not there.
std::vector<SourceMetrics> sources_in(const nlohmann::json& row) {
  std::vector<SourceMetrics> sources;
  const nlohmann::json* list = member_of(row, "sources");
  if (list == nullptr || !list->is_array()) return sources;
  for (const nlohmann::json& source : *list) {
    const auto number = [&](const char* key) { return number_in(source, key).value_or(0.0); };
    sources.push_back({number("samples"), number("targets"), number("loss_share")});
  }
  return sources;
}

/// Why results of recall are not those of the goal; empty where they are.
std::string difference_from(const nlohmann::json& recall, const ArmGoal& goal) {
  if (!recall.is_object()) return "it was not measured";
  const nlohmann::json* asked = member_of(recall, "asked");
  if (asked == nullptr) return "what its recall was asked is not known";
  const auto step = recall.value("step", nlohmann::json());
  if (step != goal.steps) return "its recall is that of step " + step.dump();
  const auto wanted = nlohmann::json::parse(goal.asked);
  std::vector<std::string> differences;
  for (const auto& [key, value] : wanted.items()) {
    const auto before = asked->value(key, nlohmann::json());
    if (before != value) differences.push_back(key + ": " + before.dump() + " -> " + value.dump());
  }
  return differences.empty() ? "" : "its recall was asked otherwise: " + join(differences, ", ");
}

}  // namespace

ArmPaths::ArmPaths(const std::filesystem::path& sweep, const std::string& arm)
    : run_file(sweep / "arms" / (arm + ".yaml")),
      run(sweep / "arms" / arm),
      log(sweep / "arms" / (arm + ".log")),
      lock(sweep / "arms" / (arm + ".lock")),
      failure(sweep / "arms" / (arm + ".failure")) {}

std::filesystem::path cost_file(const std::filesystem::path& sweep, const std::string& size) {
  return sweep / (size.empty() ? "cost.json" : "cost-" + folder_name(size) + ".json");
}

std::filesystem::path results_file(const std::filesystem::path& sweep) {
  return sweep / "report" / "results.json";
}

std::filesystem::path probe_dataset_path(const std::filesystem::path& sweep,
                                         std::int64_t sequence_length) {
  return sweep / "data" / ("probes-" + std::to_string(sequence_length));
}

std::string recorded_failure(const std::filesystem::path& run) {
  const auto status = parse_file(run / "status.json");
  return text_at(status, "state") == "failed" ? text_at(status, "reason") : "";
}

std::optional<std::int64_t> steps_of_finished_run(const std::filesystem::path& run) {
  const auto status = parse_file(run / "status.json");
  const nlohmann::json* step = member_of(status, "step");
  if (text_at(status, "state") != "finished" || step == nullptr || !step->is_number_integer())
    return std::nullopt;
  return step->get<std::int64_t>();
}

ArmStatus read_arm_status(const ArmPaths& paths, const ArmGoal& goal) {
  ArmStatus status;
  status.is_trained = steps_of_finished_run(paths.run) == goal.steps;
  if (std::filesystem::exists(paths.failure)) {
    status.state = ArmState::failed;
    status.reason = read_file(paths.failure);
    while (status.reason.ends_with('\n')) status.reason.pop_back();
    status.is_final = recorded_failure(paths.run).starts_with("diverged");
  } else if (status.is_trained) {
    const bool is_measured = std::filesystem::exists(paths.recall());
    const auto difference = difference_from(parse_file(paths.recall()), goal);
    if (difference.empty()) status.state = ArmState::finished;
    if (is_measured) status.reason = difference;
  }
  return status;
}

std::optional<MetricsRow> read_metrics_row(const std::string& line) {
  const auto json = parse_metrics_row(line);
  if (json.is_null()) return std::nullopt;
  const auto number = [&](const char* key) { return number_in(json, key); };
  MetricsRow row;
  row.step = json["step"].get<std::int64_t>();
  row.is_training = json.contains("loss");
  row.is_validation = json.contains("validation_loss");
  row.loss = number(row.is_validation ? "validation_loss" : "loss");
  row.tokens_per_second = number("tokens_per_second").value_or(0.0);
  row.seconds = number("seconds").value_or(0.0);
  row.memory_gib = number("memory_gib").value_or(0.0);
  row.sources = sources_in(json);
  return row;
}

ArmProgress read_arm_progress(const std::filesystem::path& metrics) {
  ArmProgress progress;
  std::ifstream file(metrics, std::ios::binary | std::ios::ate);
  if (!file) return progress;
  const auto size = static_cast<std::streamoff>(file.tellg());
  file.seekg(std::max<std::streamoff>(0, size - kTailBytes));
  for (std::string line; std::getline(file, line);) {
    const auto row = read_metrics_row(line);
    if (row && row->is_training) progress = {row->step, row->loss};
  }
  return progress;
}

}  // namespace zebra
