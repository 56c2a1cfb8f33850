#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "config/config.h"
#include "distributed/communicator.h"
#include "distributed/sharded_data_parallel.h"
#include "distributed/sharded_optimizer.h"
#include "model/layer_statistics.h"
#include "train/layer_health.h"
#include "train/metrics.h"

namespace zebra {

/// Measures single steps of a training: its passes add to statistics(), then before_update() and
/// after_update() are called around the optimizer's. All is queued on the device, and the host does
/// not wait for it. From before to after the update the masters are in memory twice, when no
/// activations are. Every rank measures the same steps, and gets the same figures.
class LayerMeter {
 public:
  /// All must outlive this object; `all` are the ranks of the job.
  LayerMeter(const Config& config, const ShardedDataParallel& parallel,
             const ShardedOptimizer& optimizer, Communicator& all, torch::Device device);

  LayerStatistics& statistics() { return statistics_; }

  void before_update();
  /// The measured values of all ranks, which health() makes figures of.
  DeferredValues after_update();
  /// `counted_targets` are those of the whole step.
  LayerHealth health(const std::vector<double>& values, std::int64_t counted_targets) const;

 private:
  /// For each unit the sum over its parts.
  std::vector<torch::Tensor> squares_of(const std::vector<OptimizerState>& parts) const;
  /// Whether another rank adds the same shards.
  bool is_copy() const;

  const Config& config_;
  const ShardedDataParallel& parallel_;
  const ShardedOptimizer& optimizer_;
  Communicator& all_;
  LayerStatistics statistics_;
  std::vector<torch::Tensor> gradients_, weights_;  // sums of squares of this rank's shards
  std::vector<OptimizerState> before_;              // copies of the masters
};

}  // namespace zebra
