#include "distributed/sharded_optimizer.h"

#include <algorithm>
#include <string_view>

#include "ops/part_scope.h"

namespace zebra {
namespace {

// Elements at the beginning of this rank's shard that Muon updates.
std::int64_t matrix_elements(const ShardedUnit& unit, const OptimizerSection& settings) {
  if (settings.type != OptimizerType::muon) return 0;
  return std::clamp<std::int64_t>(unit.layout().matrix_size() - unit.shard_begin(), 0,
                                  unit.weight_shard().numel());
}

template <class Part>
std::vector<OptimizerRange> ranges_of(const std::vector<Part>& parts) {
  std::vector<OptimizerRange> ranges;
  for (const auto& part : parts) ranges.push_back(part.range);
  return ranges;
}

}  // namespace

ShardedOptimizer::ShardedOptimizer(const OptimizerSection& settings,
                                   const ShardedDataParallel& parallel)
    : settings_(settings),
      rank_(parallel.groups().shards->rank()),
      adamw_parts_(adamw_parts(settings, parallel)),
      adamw_(settings, ranges_of(adamw_parts_)) {
  if (settings.type == OptimizerType::muon) add_matrices(parallel);
}

std::vector<ShardedOptimizer::Part> ShardedOptimizer::adamw_parts(
    const OptimizerSection& settings, const ShardedDataParallel& parallel) {
  std::vector<Part> parts;
  const auto ranges = parallel.optimizer_ranges();
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const auto& unit = parallel.units()[i];
    const auto& [weights, gradients, decayed_size] = ranges[i];
    const auto begin = matrix_elements(unit, settings), size = weights.numel() - begin;
    if (size == 0) continue;
    parts.push_back(
        {i,
         unit.shard_begin() + begin,
         {weights.narrow(0, begin, size), gradients.narrow(0, begin, size), decayed_size - begin}});
  }
  return parts;
}

void ShardedOptimizer::add_matrices(const ShardedDataParallel& parallel) {
  std::vector<FlatMatrix> matrices;
  for (std::size_t i = 0; i < parallel.units().size(); ++i) {
    const auto& unit = parallel.units()[i];
    if (unit.layout().matrices().empty()) continue;
    auto& part = matrix_parts_.emplace_back();
    const auto size = matrix_elements(unit, settings_);
    part.unit = i;
    part.begin = unit.shard_begin();
    part.range = {unit.weight_shard().narrow(0, 0, size), unit.gradient_shard().narrow(0, 0, size),
                  size};
    {
      ZEBRA_MEMORY_PART("masters");
      part.masters = part.range.weights.to(torch::kFloat32);
    }
    ZEBRA_MEMORY_PART("moments");
    part.momentum = torch::zeros_like(part.masters);
    for (const auto& [tensor, initial, begin] : unit.layout().matrices()) {
      part.matrices.push_back(matrices.size());
      matrices.push_back(
          {{tensor.shape.at(0), tensor.shape.at(1)}, begin, unit.weight_shard().numel()});
    }
  }
  exchange_.emplace(std::move(matrices), *parallel.groups().shards);
}

void ShardedOptimizer::step(double lr, const torch::Tensor& decision) {
  adamw_.step(lr, decision);
  if (exchange_) update_matrices(lr, decision);
}

void ShardedOptimizer::update_matrices(double lr, const torch::Tensor& decision) {
  const torch::NoGradGuard no_grad;
  const MuonStep step = {lr, settings_.weight_decay, settings_.momentum, decision};
  std::vector<torch::Tensor> pieces;
  for (const auto& part : matrix_parts_) {
    const auto direction = muon_direction(part.momentum, part.range.gradients, step);
    for (const auto matrix : part.matrices) pieces.push_back(own_piece(part, matrix, direction));
  }
  const auto options = pieces.front().options();
  auto owned = exchange_->to_owners(pieces);
  for (auto& matrix : owned) matrix = orthogonalized(matrix);
  pieces = exchange_->from_owners(owned, options);
  for (const auto& part : matrix_parts_) {
    for (const auto matrix : part.matrices) {
      const auto& shape = exchange_->matrices()[matrix].shape;
      muon_update(own_piece(part, matrix, part.masters), pieces[matrix],
                  muon_scale(settings_.adjust_lr_fn, shape.rows, shape.columns), step);
    }
    if (!part.masters.is_same(part.range.weights)) part.range.weights.copy_(part.masters);
  }
}

// The elements of a matrix in `flat`, which holds those of the part.
torch::Tensor ShardedOptimizer::own_piece(const MatrixPart& part, std::size_t matrix,
                                          const torch::Tensor& flat) const {
  const auto [begin, size] = exchange_->piece(matrix, rank_);
  if (size == 0) return flat.narrow(0, 0, 0);
  return flat.narrow(0, exchange_->matrices()[matrix].begin + begin - part.begin, size);
}

void ShardedOptimizer::publish_masters() {
  const torch::NoGradGuard no_grad;
  adamw_.publish_masters();
  for (const auto& part : matrix_parts_)
    if (!part.masters.is_same(part.range.weights)) part.range.weights.copy_(part.masters);
}

std::vector<OptimizerState> ShardedOptimizer::masters() const {
  auto masters = state();
  std::erase_if(masters, [](const OptimizerState& part) {
    return std::string_view(part.group) != "weights";
  });
  return masters;
}

std::vector<OptimizerState> ShardedOptimizer::state() const {
  std::vector<OptimizerState> state;
  const auto add_adamw = [&](const char* group,
                             const torch::Tensor& (AdamW::*values)(std::size_t) const) {
    for (std::size_t i = 0; i < adamw_parts_.size(); ++i)
      state.push_back({group, adamw_parts_[i].unit, adamw_parts_[i].begin, (adamw_.*values)(i)});
  };
  const auto add_matrix_parts = [&](const char* group, torch::Tensor MatrixPart::*values) {
    for (const auto& part : matrix_parts_)
      state.push_back({group, part.unit, part.begin, part.*values});
  };
  add_matrix_parts("weights", &MatrixPart::masters);
  add_adamw("weights", &AdamW::masters);
  add_matrix_parts("momentum", &MatrixPart::momentum);
  add_adamw("exp_avg", &AdamW::first_moments);
  add_adamw("exp_avg_sq", &AdamW::second_moments);
  return state;
}

}  // namespace zebra
