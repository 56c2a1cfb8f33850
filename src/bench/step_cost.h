#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "data/tokenizer.h"
#include "data/training_data.h"
#include "distributed/job.h"

namespace zebra {

struct StepMeasurementOptions {
  std::int64_t warm_up = 3;       ///< steps that do not count
  std::int64_t steps = 10;        ///< that count, undisturbed; as many again with parts measured
  std::filesystem::path profile;  ///< a trace of three more steps, for Perfetto; empty: none
};

/// What a training step costs on one rank, and where its time goes.
struct StepMeasurement {
  std::string device, machine;  ///< "cpu" or "cuda"; the processor's or GPU's name
  int threads = 0, ranks = 1;
  Precision precision = Precision::fp32;
  std::vector<double> step_seconds;  ///< of the steps that count
  std::int64_t tokens_per_step = 0;  ///< of all ranks
  double training_flops_per_token = 0.0;
  double peak_matmul_flops = 0.0;          ///< FLOP/s of this rank's device (device_meter.h)
  std::optional<std::int64_t> peak_bytes;  ///< at the highest point; nothing where nobody says
  /// Mean seconds of a step in each part, and of "other"; on a GPU measured with the device idle at
  /// both ends of each part.
  std::map<std::string, double> part_seconds;
  double checkpoint_seconds = 0.0;  ///< one whole save
  /// What the loader gives while nothing trains, all ranks together if each loads as this one.
  double loaded_tokens_per_second = 0.0;

  double median_step_seconds() const;
  double tokens_per_second() const;
  /// Share of peak_matmul_flops that the model's FLOPs reach (model FLOPs utilisation).
  double mfu() const;
};

/// Trains as `zebra train` would, without validation, in a folder beside run.dir that holds the
/// checkpoints that are measured and is removed again. All ranks call it; the measurement is the
/// rank's own.
StepMeasurement measure_step(const Config& config, const Tokenizer& tokenizer, TrainingData data,
                             Job& job, const StepMeasurementOptions& options);

/// As a table for people, and for scripts.
std::string to_text(const StepMeasurement& measurement);
nlohmann::ordered_json to_json(const StepMeasurement& measurement);

}  // namespace zebra
