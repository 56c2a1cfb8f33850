#pragma once

#include <cstdint>
#include <string>

#include "config/config.h"
#include "data/training_data.h"
#include "eval/perplexity.h"
#include "train/metrics.h"

namespace zebra {

// What people are told while a run trains.

/// The model, the ranks and the data, before the first step.
void log_start(const Config& config, const TrainingData& data, const std::string& ranks,
               std::int64_t first_step, std::int64_t last_step);

/// A logged step; `skipped_steps` are those of the whole run.
void log_step(const Config& config, const StepMetrics& row, std::int64_t skipped_steps);

void log_validation(std::int64_t step, const Perplexity& result);

}  // namespace zebra
