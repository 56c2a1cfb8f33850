#include "train/metrics_log.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "train/metrics_row.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

Json sources_json(const std::vector<SourcePart>& sources) {
  auto json = Json::array();
  for (const auto& part : sources) {
    json.push_back(
        {{"samples", part.samples}, {"targets", part.targets}, {"loss_share", part.loss_share}});
  }
  return json;
}

constexpr std::size_t kMostTold = 5;  // lines that a message names one by one

struct ReadRows {
  std::string kept;  // byte for byte
  std::int64_t rows = 0;
  std::string unreadable;           // lines that are no rows
  std::vector<std::string> faults;  // what is wrong with each
};

ReadRows read_rows(const std::string& content, std::int64_t last_step) {
  ReadRows read;
  std::int64_t number = 0;
  for (std::size_t begin = 0; begin < content.size();) {
    const auto newline = content.find('\n', begin);
    const bool is_finished = newline != std::string::npos;
    const auto line = std::string_view(content).substr(begin, newline - begin);
    begin = is_finished ? newline + 1 : content.size();
    ++number;
    std::string fault;
    const auto row = parse_metrics_row(line, &fault);
    if (row.is_null() && is_finished) {
      read.unreadable.append(line) += '\n';
      read.faults.push_back("line " + std::to_string(number) + ": " + fault);
    } else if (!row.is_null() && row["step"].get<std::int64_t>() <= last_step) {
      read.kept.append(line) += '\n';
      ++read.rows;
    }
  }
  return read;
}

// Moves them beside the file, behind those of earlier times.
void set_aside_unreadable(const std::filesystem::path& path, const ReadRows& read) {
  const std::filesystem::path aside = path.string() + ".unreadable";
  write_file_atomically(aside,
                        (std::filesystem::exists(aside) ? read_file(aside) : "") + read.unreadable);
  auto told = read.faults;
  if (told.size() > kMostTold) {
    told.resize(kMostTold);
    told.push_back("and " + std::to_string(read.faults.size() - kMostTold) + " more");
  }
  log_warning(path.string() + ": holds lines that are no rows of metrics (" + join(told, "; ") +
              "); they are now in " + aside.string() + ", and the rows around them are kept");
}

}  // namespace

MetricsLog::MetricsLog(std::filesystem::path path, std::int64_t last_step,
                       std::optional<std::int64_t> expected_rows, bool tensorboard) {
  ReadRows read;
  if (std::filesystem::exists(path)) {
    const std::string content = read_file(path);
    read = read_rows(content, last_step);
    if (!read.faults.empty()) set_aside_unreadable(path, read);
    if (read.kept != content) write_file_atomically(path, read.kept);
    rows_kept_ = read.rows;
  }
  if (expected_rows && rows_kept_ < *expected_rows) {
    log_warning(path.string() + ": holds " + std::to_string(rows_kept_) + " of the " +
                std::to_string(*expected_rows) + " rows that there were at step " +
                std::to_string(last_step) + ": curves drawn from it will have gaps");
  }
  file_.emplace(path);
  if (tensorboard) {
    tensorboard_ = std::make_unique<TensorboardLog>(path.parent_path() / kTensorboardFolder,
                                                    last_step, read.kept);
  }
}

MetricsLog::~MetricsLog() { log_problem(file_->finish()); }

void MetricsLog::add(const StepMetrics& metrics) {
  Json row = {{"step", metrics.step},
              {"loss", metrics.loss},
              {"grad_norm", metrics.grad_norm},
              {"lr", metrics.lr}};
  if (metrics.window) row["window"] = *metrics.window;
  if (metrics.skipped) row["skipped"] = true;
  if (metrics.sources.size() > 1) row["sources"] = sources_json(metrics.sources);
  row["tokens"] = metrics.tokens;
  row["tokens_per_second"] = metrics.tokens_per_second;
  row["seconds"] = metrics.seconds;
  if (metrics.checkpoint_seconds_lost > 0.0)
    row["checkpoint_seconds_lost"] = metrics.checkpoint_seconds_lost;
  const auto add_known = [&](const char* name, const std::optional<double>& value) {
    if (value) row[name] = *value;
  };
  add_known("checkpoint_seconds", metrics.checkpoint_seconds);
  add_known("data_share", metrics.data_share);
  add_known("mfu", metrics.mfu);
  add_known("memory_gib", metrics.memory_gib);
  add_known("spike_score", metrics.spike_score);
  add_known("grad_norm_spike_score", metrics.grad_norm_spike_score);
  write(row);
}

void MetricsLog::add_layers(std::int64_t step, const LayerHealth& health) {
  write(layer_health_row(step, health));
}

void MetricsLog::add_validation(std::int64_t step, const Perplexity& validation) {
  Json row = {{"step", step},
              {"validation_loss", validation.loss()},
              {"bits_per_byte", validation.bits_per_byte()},
              {"by_position", by_position_json(validation)}};
  if (validation.by_dataset.size() > 1) row["by_dataset"] = by_dataset_json(validation);
  write(row);
}

void MetricsLog::write(const Json& row) {
  // The name of a dataset need not be UTF-8, which JSON is.
  const auto line = row.dump(-1, ' ', false, Json::error_handler_t::replace);
  log_problem(file_->append(line + "\n"));
  if (tensorboard_) tensorboard_->add(Json::parse(line));
}

void MetricsLog::add_sample(std::int64_t step, const std::string& text) {
  if (tensorboard_) tensorboard_->add_sample(step, text);
}

std::int64_t MetricsLog::rows() {
  log_problem(file_->retry());
  return rows_kept_ + file_->records_written();
}

void MetricsLog::flush() const {
  try {
    file_->flush();
    if (tensorboard_) tensorboard_->flush();
  } catch (const RunError& error) {
    log_warning(error.what());
  }
}

}  // namespace zebra
