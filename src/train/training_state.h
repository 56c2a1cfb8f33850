#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "optim/schedule.h"

namespace zebra {

/// What a checkpoint must hold besides tensors so that training goes on to the bit. The data
/// position is the step; random numbers are functions of the seed and of positions, so they have no
/// state of their own.
struct TrainingState {
  std::int64_t step = 0;             ///< steps done, skipped ones included
  std::int64_t optimizer_steps = 0;  ///< updates done
  std::int64_t tokens = 0;
  double seconds = 0.0;  ///< spent training, over all restarts
  SkipRule::State skip;
  std::optional<double> validation_loss;          ///< at this very step, when it was validated
  std::vector<std::string> dataset_fingerprints;  ///< of data.train, in order

  nlohmann::ordered_json to_json() const;
  /// Throws InputError when a value is missing.
  static TrainingState from_json(const nlohmann::ordered_json& json);
};

}  // namespace zebra
