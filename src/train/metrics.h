#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "eval/perplexity.h"

namespace zebra {

/// What one optimizer step gave.
struct StepMetrics {
  std::int64_t step;  ///< from 1
  double loss;        ///< nats per counted target, before the update
  double grad_norm;   ///< before clipping
  double lr;
  bool skipped;
  std::int64_t tokens;  ///< read by the model so far, in the whole run
  double tokens_per_second, seconds;
  double checkpoint_seconds_lost = 0.0;  ///< for which training stood still since the row before
};

/// metrics.jsonl: one object per logged step or validation. Numbers read back as the same values,
/// non-finite ones are null.
class MetricsLog {
 public:
  /// Keeps the rows up to `last_step` of an existing file (an unfinished last line is dropped) and
  /// appends from there.
  MetricsLog(std::filesystem::path path, std::int64_t last_step);

  void add(const StepMetrics& metrics);
  void add_validation(std::int64_t step, const Perplexity& validation);

 private:
  void write(const nlohmann::ordered_json& row);

  std::filesystem::path path_;
  std::ofstream file_;
};

/// Resident memory of this process in GiB, or nothing where the system does not tell.
std::optional<double> resident_memory_gib();

}  // namespace zebra
