#include "train/step_gradients.h"

#include "train/stop_signal.h"

namespace zebra {

torch::Tensor add_step_gradients(const GradientTask& task, const StepBatch& batch,
                                 const std::function<void()>& before_micro_batch) {
  auto& [model, parallel, device, z_loss] = task;
  parallel.begin_step();
  auto loss_sum = torch::zeros({1}, torch::TensorOptions(device).dtype(torch::kFloat32));
  const double divisor = batch.counted_targets > 0 ? batch.target_weight : 1.0;
  const auto scale = torch::full({}, 1.0 / divisor, loss_sum.options());
  for (const auto& on_host : batch.micro_batches) {
    before_micro_batch();
    parallel.begin_micro_batch(/*last=*/&on_host == &batch.micro_batches.back());
    const auto micro_batch = on_host.to(device);
    const auto sums = model->loss(micro_batch.tokens, micro_batch.targets, micro_batch.documents,
                                  z_loss, micro_batch.target_weights);
    sums.objective.backward(scale);
    parallel.finish_micro_batch();
    loss_sum.add_(sums.cross_entropy);
  }
  parallel.finish_step();
  return loss_sum;
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
