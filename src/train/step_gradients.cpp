#include "train/step_gradients.h"

#include "base/error.h"
#include "train/stop_signal.h"

namespace zebra {
StepGradients::StepGradients(const ZebraModel& model, ShardedDataParallel& parallel,
                             torch::Device device, double z_loss, const DeviceGraphs& graphs)
    : model_(model),
      parallel_(parallel),
      device_(device),
      z_loss_(z_loss),
      scale_(torch::empty({}, torch::TensorOptions(device).dtype(torch::kFloat32))),
      loss_sum_(torch::empty({1}, scale_.options())) {
  if (!graphs) return;
  if (parallel.exchanges(/*last=*/false)) {
    throw InputError(
        "train.cuda_graph: with split gradients or weights ranks exchange something in every "
        "micro-batch, which a graph cannot hold; set parallel.sharding to none or optimizer, or "
        "train.cuda_graph to false");
  }
  graphs_.emplace(model_, graphs, device);
}

torch::Tensor StepGradients::add(const StepBatch& batch,
                                 const std::function<void()>& before_micro_batch,
                                 LayerStatistics* statistics) {
  if (statistics != nullptr) statistics->clear();
  model_->set_statistics(statistics);
  parallel_.begin_step();
  loss_sum_.zero_();
  scale_.fill_(1.0 / (batch.counted_targets > 0 ? batch.target_weight : 1.0));
  for (const auto& micro_batch : batch.micro_batches) {
    before_micro_batch();
    const bool last = &micro_batch == &batch.micro_batches.back();
    parallel_.begin_micro_batch(last);
    if (graphs_ && statistics == nullptr && !parallel_.exchanges(last)) {
      parallel_.finish_publishing();
      graphs_->run(micro_batch, [this](const Batch& on_device) { queue_passes(on_device); });
    } else {
      queue_passes(micro_batch.to(device_));
    }
    parallel_.finish_micro_batch();
  }
  parallel_.finish_step();
  model_->set_statistics(nullptr);
  return loss_sum_;
}

void StepGradients::queue_passes(const Batch& on_device) {
  const auto sums = model_->loss(on_device.tokens, on_device.targets, on_device.documents, z_loss_,
                                 on_device.target_weights);
  sums.objective.backward(scale_);
  loss_sum_.add_(sums.cross_entropy);
}

torch::Tensor stop_requests(torch::Device device) {
  const auto requests = torch::zeros({static_cast<std::int64_t>(kStopSignals.size())},
                                     torch::TensorOptions(device).dtype(torch::kFloat32));
  for (std::size_t i = 0; i < kStopSignals.size(); ++i) {
    if (stop_signal() == kStopSignals[i]) requests.select(0, static_cast<std::int64_t>(i)).fill_(1);
  }
  return requests;
}

}  // namespace zebra
