#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "config/names.h"

namespace zebra {

/// Of the weights of a layer, the embedding or the head, in one step.
struct WeightHealth {
  double grad_norm;   ///< before clipping
  double weight_rms;  ///< before the update
  double update_rms;  ///< of what the update changed; 0 for a skipped step

  double update_ratio() const { return update_rms / weight_rms; }
};

/// What one step shows of a model's layers, over all ranks. NaN where a figure is not known.
struct LayerHealth {
  struct Layer : WeightHealth {
    LayerKind kind;
    double activation_rms;  ///< of what the layer gave to the next one
    /// Between which the largest attention logit lies, see attention_logit_bounds.
    double attention_logit_lower, attention_logit_upper;
  };

  std::vector<Layer> layers;
  WeightHealth embedding;           ///< with the head where they are tied
  std::vector<WeightHealth> heads;  ///< one; none where it is tied
  double log_z_rms, log_z_max;      ///< log-sum-exp of the output logits, over counted targets
};

/// The row of metrics.jsonl: each figure as a list over the layers, the largest of the global and
/// of the local ones, and what belongs to no layer.
nlohmann::ordered_json layer_health_row(std::int64_t step, const LayerHealth& health);

}  // namespace zebra
