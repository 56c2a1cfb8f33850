#include "checkpoint/load_model.h"

#include "checkpoint/checkpoint.h"
#include "checkpoint/folder.h"
#include "checkpoint/training_tensors.h"
#include "model/placement.h"
#include "ops/tensor_memory.h"

namespace zebra {

LoadedModel load_model(const std::string& run_or_checkpoint) {
  Checkpoint checkpoint(find_checkpoint(run_or_checkpoint));
  const Config config = checkpoint.config();
  const auto device = resolve_device(config.run.device);
  if (device.is_cpu()) keep_tensor_memory();
  ZebraModel model(config.model);
  model->to(device, weight_type(config.train.precision));
  for (const auto& unit : model->units()) load_weights(checkpoint, unit);
  for (auto& parameter : model->parameters()) parameter.set_requires_grad(false);
  return {config, Tokenizer(config.data.tokenizer), model, device, checkpoint.step()};
}

}  // namespace zebra
