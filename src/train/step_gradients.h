#pragma once

#include <torch/types.h>

#include <functional>
#include <optional>

#include "data/training_data.h"
#include "distributed/sharded_data_parallel.h"
#include "model/zebra_model.h"
#include "train/micro_batch_graphs.h"

namespace zebra {

// The work of a step before its update, queued on the device: what is here never waits for it, and
// copies from page-locked memory alone.

/// Adds up the gradients of one step after the other.
class StepGradients {
 public:
  /// `parallel` is of the model and outlives this object. With `graphs` micro-batches in which
  /// ranks exchange nothing are graphs (train.cuda_graph); throws InputError where none could be.
  StepGradients(const ZebraModel& model, ShardedDataParallel& parallel, torch::Device device,
                double z_loss, const DeviceGraphs& graphs = {});

  /// Adds up, in `parallel`, the gradient of the mean over all counted targets of the step,
  /// weighted by their loss weights, whatever the ranks and micro-batches. Returns the weighted sum
  /// of this rank's losses, float32 [1] on the device, which the next step overwrites.
  /// `before_micro_batch` is called before each. With `statistics` the step is measured, and runs
  /// without graphs.
  torch::Tensor add(const StepBatch& batch, const std::function<void()>& before_micro_batch,
                    LayerStatistics* statistics = nullptr);

 private:
  void queue_passes(const Batch& on_device);

  ZebraModel model_;
  ShardedDataParallel& parallel_;
  torch::Device device_;
  double z_loss_;
  // Where graphs find and leave them.
  torch::Tensor scale_, loss_sum_;
  std::optional<MicroBatchGraphs> graphs_;
};

/// For each of kStopSignals 1 where it is the one that came to this process, else 0: float32 on the
/// device.
torch::Tensor stop_requests(torch::Device device);

}  // namespace zebra
