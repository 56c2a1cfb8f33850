#include "measurement/flat_model.h"

#include <cmath>

#include "base/random.h"
#include "base/system.h"
#include "distributed/sharded_unit.h"
#include "eval/generate.h"
#include "measurement/median.h"
#include "model/placement.h"
#include "optim/adamw.h"

namespace zebra {
namespace {

constexpr std::int64_t kSeed = 1;

}  // namespace

FlatModel::FlatModel(const ModelConfig& section, Precision precision, torch::Device device)
    : model(section, ParameterMemory::placeholder) {
  const torch::TensorOptions on_device(device);
  for (const auto& unit : model->units()) {
    FlatLayout layout(unit, /*ranks=*/1);
    const auto weights = torch::empty({layout.size()}, on_device.dtype(weight_type(precision)));
    const auto of_unit = torch::zeros({layout.size()}, on_device.dtype(torch::kFloat32));
    layout.fill_initial_weights(kSeed, 0, weights);
    layout.adopt(weights, of_unit);
    ranges.push_back({weights, of_unit, layout.decayed_size()});
  }
}

std::vector<torch::Tensor> FlatModel::gradients() const {
  std::vector<torch::Tensor> all;
  for (const auto& range : ranges) all.push_back(range.gradients);
  return all;
}

torch::Tensor random_tokens(std::int64_t batch, std::int64_t length, std::int64_t vocabulary,
                            const char* purpose) {
  const auto stream = RandomStream::named(kSeed, purpose);
  auto tokens = torch::empty({batch, length}, torch::kInt64);
  auto* data = tokens.mutable_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < tokens.numel(); ++i) {
    data[i] = static_cast<std::int64_t>(stream.bits(static_cast<std::uint64_t>(i)) %
                                        static_cast<std::uint64_t>(vocabulary));
  }
  return tokens;
}

PassSeconds time_loss(ZebraModel& model, const torch::Tensor& tokens, const torch::Tensor& targets,
                      const DeviceMeter& meter) {
  const auto scale = torch::full({}, 1.0 / static_cast<double>(targets.numel()),
                                 torch::TensorOptions(meter.device()).dtype(torch::kFloat32));
  CrossEntropySum sums;
  PassSeconds seconds;
  seconds.forward = meter.seconds([&] { sums = model->loss(tokens, targets); });
  seconds.backward = meter.seconds([&] { sums.objective.backward(scale); });
  return seconds;
}

double time_update(AdamW& optimizer, const std::vector<torch::Tensor>& gradients, double lr,
                   double grad_clip, const DeviceMeter& meter) {
  return meter.seconds([&] {
    const double norm = std::sqrt(squared_norm(gradients).item<double>());
    optimizer.step(lr, clip_scale(norm, grad_clip));
    for (const auto& gradient : gradients) gradient.zero_();
  });
}

GenerationSeconds time_generation(ZebraModel& model, std::int64_t length, std::int64_t new_tokens,
                                  const DeviceMeter& meter) {
  const auto tokens =
      random_tokens(1, length, model->config().vocab_size, "prompt of a measurement");
  const auto* data = tokens.const_data_ptr<std::int64_t>();
  const std::vector<std::int32_t> prompt(data, data + length);
  std::vector<double> times;
  meter.synchronize();
  const double begin = monotonic_seconds();
  generate(model, prompt, {.max_new_tokens = new_tokens, .temperature = 0.0},
           [&](std::int32_t) { times.push_back(monotonic_seconds()); });
  std::vector<double> steps;
  for (std::size_t i = 1; i < times.size(); ++i) steps.push_back(times[i] - times[i - 1]);
  return {times.front() - begin, median(std::move(steps))};
}

}  // namespace zebra
