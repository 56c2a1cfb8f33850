#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "base/record_file.h"
#include "eval/perplexity.h"
#include "train/metrics.h"
#include "train/tensorboard_log.h"

namespace zebra {

/// metrics.jsonl: one object per logged step or validation. Numbers read back as the same values,
/// non-finite ones are null.
///
/// A row that cannot be written does not end the run (see RecordFile); people are told. With
/// `tensorboard` the rows also go into a TensorboardLog beside the file.
class MetricsLog {
 public:
  /// Keeps the rows up to `last_step` of an existing file, byte for byte, and appends from there.
  /// Lines that are no rows are moved to metrics.jsonl.unreadable, and told with their numbers;
  /// only an unfinished last one, which any interruption leaves, goes silently. With
  /// `expected_rows`, what is missing of them is told too. Throws RunError.
  MetricsLog(std::filesystem::path path, std::int64_t last_step,
             std::optional<std::int64_t> expected_rows = std::nullopt, bool tensorboard = false);
  /// Tells what is lost for good.
  ~MetricsLog();

  void add(const StepMetrics& metrics);
  void add_layers(std::int64_t step, const LayerHealth& health);
  void add_validation(std::int64_t step, const Perplexity& validation);
  /// A text that the model wrote; metrics.jsonl has none.
  void add_sample(std::int64_t step, const std::string& text);

  /// Rows in the file, when those that wait have been tried again.
  std::int64_t rows();

  /// Flushes the rows and events to the disk; for any thread. What fails is told.
  void flush() const;

 private:
  void write(const nlohmann::ordered_json& row);

  std::int64_t rows_kept_ = 0;
  std::optional<RecordFile> file_;
  std::unique_ptr<TensorboardLog> tensorboard_;  // where it is wanted
};

}  // namespace zebra
