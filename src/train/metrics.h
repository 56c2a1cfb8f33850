#pragma once

#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "data/training_data.h"
#include "train/layer_health.h"

namespace zebra {

/// Numbers that a device is still to compute. The host asks for the copy when it has queued the
/// work that makes them, goes on, and reads them later.
class DeferredValues {
 public:
  /// `values` [n] float64 on any device.
  explicit DeferredValues(const torch::Tensor& values);

  /// Waits until the device has come to the copy, however much was queued behind it.
  std::vector<double> get() const;

 private:
  torch::Tensor on_host_;
  std::optional<c10::Event> copied_;  // none on the CPU
};

/// What one optimizer step gave.
struct StepMetrics {
  std::int64_t step;  ///< from 1
  double loss;       ///< nats per counted target, weighted by their loss weights, before the update
  double grad_norm;  ///< before clipping
  double lr;
  bool skipped;
  std::int64_t tokens;  ///< read by the model so far, in the whole run
  double tokens_per_second, seconds;
  double checkpoint_seconds_lost = 0.0;     ///< for which training stood still since the row before
  std::vector<SourcePart> sources = {};     ///< in the order of training_sources
  std::optional<std::int64_t> window = {};  ///< of local layers, where it moves
  /// In a step: of its loss and gradient norm (SpikeScore). In a row: the highest since the row
  /// before.
  std::optional<double> spike_score = {}, grad_norm_spike_score = {};
  std::optional<LayerHealth> layers = {};  ///< of a measured step
  // Of a row:
  std::optional<double> mfu = {};  ///< model FLOPs as a share of what the data sheet promises
  std::optional<double> memory_gib = {};  ///< see device_figures.h
  std::optional<double> data_share = {};  ///< of the time since the row before: waiting for data
  std::optional<double> checkpoint_seconds = {};  ///< that a save took which ended since then
};

}  // namespace zebra
