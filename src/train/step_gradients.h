#pragma once

#include <torch/types.h>

#include <functional>

#include "data/training_data.h"
#include "distributed/sharded_data_parallel.h"
#include "model/zebra_model.h"

namespace zebra {

// The work of a step before its update, queued on the device: what is here never waits for it, and
// copies from page-locked memory alone.

/// Where gradients of a step are formed.
struct GradientTask {
  ZebraModel& model;
  ShardedDataParallel& parallel;  ///< of the model
  torch::Device device;
  double z_loss;
};

/// Adds up, in the task's `parallel`, the gradient of the mean over all counted targets of the
/// step, weighted by their loss weights, whatever the ranks and micro-batches. Returns the weighted
/// sum of this rank's losses, float32 [1] on the device. `before_micro_batch` is called before
/// each.
torch::Tensor add_step_gradients(const GradientTask& task, const StepBatch& batch,
                                 const std::function<void()>& before_micro_batch);

/// For each of kStopSignals 1 where it is the one that came to this process, else 0: float32 on the
/// device.
torch::Tensor stop_requests(torch::Device device);

}  // namespace zebra
