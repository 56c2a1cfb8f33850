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

using Json = nlohmann::json;

// A row is a few hundred bytes; a validation row may be longer.
constexpr std::streamoff kTailBytes = 1 << 16;

Json parse_file(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return {};
  return Json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
}

std::string text_at(const Json& json, const char* key) {
  const Json* value = member_of(json, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

std::optional<double> number_in(const Json& json, const char* key) {
  const Json* value = member_of(json, key);
  return value != nullptr && value->is_number() ? std::optional(value->get<double>())
                                                : std::nullopt;
}

/// What each source gave to the row's step; empty where that is not there.
std::vector<SourceMetrics> sources_in(const Json& row) {
  std::vector<SourceMetrics> sources;
  const Json* list = member_of(row, "sources");
  if (list == nullptr || !list->is_array()) return sources;
  for (const Json& source : *list) {
    const auto number = [&](const char* key) { return number_in(source, key).value_or(0.0); };
    sources.push_back({number("samples"), number("targets"), number("loss_share")});
  }
  return sources;
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

ArmStatus read_arm_status(const ArmPaths& paths) {
  ArmStatus status;
  if (std::filesystem::exists(paths.failure)) {
    status.state = ArmState::failed;
    status.reason = read_file(paths.failure);
    while (status.reason.ends_with('\n')) status.reason.pop_back();
    status.is_final = recorded_failure(paths.run).starts_with("diverged");
  } else if (text_at(parse_file(paths.run / "status.json"), "state") == "finished" &&
             parse_file(paths.recall()).is_object()) {
    status.state = ArmState::finished;
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
