#pragma once

#include <string>

#include "config/config.h"
#include "data/tokenizer.h"
#include "model/zebra_model.h"

namespace zebra {

/// A trained model ready for evaluation, generation or export.
struct LoadedModel {
  Config config;
  Tokenizer tokenizer;
  ZebraModel model;
  torch::Device device;
  std::int64_t step;
};

/// Loads RUN_OR_CHECKPOINT (see find_checkpoint) in the run's own precision, onto the device that
/// its run.device means here. Throws InputError when it cannot be found or read.
LoadedModel load_model(const std::string& run_or_checkpoint);

}  // namespace zebra
