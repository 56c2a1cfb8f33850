#include "train/layer_meter.h"

#include <cmath>
#include <limits>

namespace zebra {
namespace {

double numel(const FlatLayout& layout) {
  double elements = 0.0;
  for (const auto& part : layout.tensors()) elements += static_cast<double>(part.tensor.numel());
  return elements;
}

}  // namespace

LayerMeter::LayerMeter(const Config& config, const ShardedDataParallel& parallel,
                       const ShardedOptimizer& optimizer, Communicator& all, torch::Device device)
    : config_(config),
      parallel_(parallel),
      optimizer_(optimizer),
      all_(all),
      statistics_(config.model.layers.size(), device) {}

bool LayerMeter::is_copy() const {
  const bool is_whole = config_.parallel.sharding == Sharding::none;
  return (is_whole ? all_ : *parallel_.groups().replicas).rank() > 0;
}

void LayerMeter::before_update() {
  const torch::NoGradGuard no_grad;
  for (const auto& unit : parallel_.units())
    gradients_.push_back(squared_norm({unit.gradient_shard()}));
  before_ = optimizer_.masters();
  for (auto& part : before_) part.values = part.values.clone();
  weights_ = squares_of(before_);
}

std::vector<torch::Tensor> LayerMeter::squares_of(const std::vector<OptimizerState>& parts) const {
  const auto none = torch::zeros_like(gradients_.front());
  std::vector<torch::Tensor> squares(parallel_.units().size(), none);
  for (const auto& part : parts) {
    squares[part.unit] = squares[part.unit] + squared_norm({part.values});
  }
  return squares;
}

// One exchange for all of it: sums, and a place for the maxima of each rank.
DeferredValues LayerMeter::after_update() {
  const torch::NoGradGuard no_grad;
  const auto after = optimizer_.masters();
  for (std::size_t i = 0; i < after.size(); ++i) before_[i].values.sub_(after[i].values);
  const auto updates = squares_of(before_);
  const auto of_shards =
      torch::cat({torch::stack(gradients_), torch::stack(weights_), torch::stack(updates)});
  before_.clear();
  gradients_.clear();
  weights_.clear();

  const auto maxima = statistics_.maxima();
  auto places = torch::zeros({all_.size(), maxima.numel()}, maxima.options());
  places.select(0, all_.rank()).copy_(maxima);
  const auto values = torch::cat(
      {is_copy() ? torch::zeros_like(of_shards) : of_shards, statistics_.sums(), places.flatten()});
  all_.all_reduce(values, "the health of the layers").wait();
  return DeferredValues(values);
}

LayerHealth LayerMeter::health(const std::vector<double>& values,
                               std::int64_t counted_targets) const {
  const auto& units = parallel_.units();
  const auto layers = config_.model.layers.size();
  const auto at = [&](std::size_t part, std::size_t i) { return values[part * units.size() + i]; };
  const auto weights = [&](std::size_t unit) {
    const double elements = numel(units[unit].layout());
    return WeightHealth{std::sqrt(at(0, unit)), std::sqrt(at(1, unit) / elements),
                        std::sqrt(at(2, unit) / elements)};
  };
  const auto* const sums = &values[3 * units.size()];
  const auto largest = [&](std::size_t i) {
    const auto* const places = sums + layers + 1;
    double value = -std::numeric_limits<double>::infinity();
    for (std::size_t rank = 0; rank < static_cast<std::size_t>(all_.size()); ++rank) {
      const double of_rank = places[rank * (2 * layers + 1) + i];
      value = std::isnan(of_rank) || of_rank > value ? of_rank : value;
      if (std::isnan(value)) break;
    }
    return value;
  };
  const double activations = static_cast<double>(
      config_.train.global_batch_size * config_.data.sequence_length * config_.model.hidden_size);

  LayerHealth health;
  for (std::size_t i = 0; i < layers; ++i) {
    health.layers.push_back({weights(i + 1), config_.model.layers[i],
                             std::sqrt(sums[i] / activations), largest(2 * i), largest(2 * i + 1)});
  }
  health.embedding = weights(0);
  if (units.size() > layers + 1) health.heads = {weights(layers + 1)};
  health.log_z_rms = std::sqrt(sums[layers] / static_cast<double>(counted_targets));
  health.log_z_max = largest(2 * layers);
  return health;
}

}  // namespace zebra
