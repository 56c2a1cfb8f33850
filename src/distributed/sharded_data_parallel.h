#pragma once

#include <torch/types.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "distributed/sharded_unit.h"
#include "model/unit_pass.h"
#include "model/zebra_model.h"
#include "optim/adamw.h"

namespace zebra {

/// Data parallelism with sharded state (ZeRO, arXiv 1910.02054): every rank computes other samples;
/// weights, gradients and optimizer state are whole or split as the mode says.
///
/// Hears of each unit that a pass comes to. With split weights the next unit is gathered while this
/// one computes, and a unit's memory is given back behind it; in the backward pass the same in the
/// other direction. Gradients of a unit are added up over the ranks while the unit before it
/// computes its own. All ranks must make the same passes in the same order.
///
/// A step:
///   begin_step(); for each micro-batch: begin_micro_batch(last); loss().backward();
///   finish_micro_batch(); then finish_step(), norm, clipping, optimizer, publish_weights().
class ShardedDataParallel : public UnitObserver {
 public:
  /// Adopts the parameters of `model` (best built with placeholders) and fills them with initial
  /// weights. Must outlive the use of the model, and the groups must outlive it.
  ShardedDataParallel(ZebraModel& model, const ShardingOptions& options,
                      const ProcessGroups& groups, torch::Device device, std::int64_t seed);
  ~ShardedDataParallel() override;

  void begin_step() { std::ranges::for_each(units_, &ShardedUnit::zero_gradients); }
  void begin_micro_batch(bool last);
  void finish_micro_batch();
  /// Whether ranks exchange anything during the passes of a micro-batch once all whole weights have
  /// arrived (finish_publishing).
  bool exchanges(bool last) const;
  /// Now the shards hold the gradients of all ranks and micro-batches.
  void finish_step() { std::ranges::for_each(units_, &ShardedUnit::finish_step); }

  /// Euclidean norm of the gradients of the whole model, a float64 scalar on the device: the same
  /// bits on every rank.
  torch::Tensor gradient_norm() const;
  /// This rank's shards, one range for each unit.
  std::vector<OptimizerRange> optimizer_ranges() const;

  /// After the optimizer has changed the weight shards. A forward pass waits for what it needs.
  void publish_weights() { std::ranges::for_each(units_, &ShardedUnit::start_publishing); }
  /// Returns when all whole weights have arrived.
  void finish_publishing() { std::ranges::for_each(units_, &ShardedUnit::finish_publishing); }

  /// Compares a hash of the weights in memory between all ranks that hold the same ones. They are
  /// equal to the bit unless a machine is faulty or a computation is not deterministic. Throws
  /// RunError on every rank, naming units and ranks, when they are not. All ranks call it.
  void check_replicas(Job& job) const;

  const std::vector<ShardedUnit>& units() const { return units_; }
  const ProcessGroups& groups() const { return groups_; }

  void before_forward(std::size_t unit) override;
  void after_forward(std::size_t unit) override;
  void before_backward(std::size_t unit, bool reads_weights) override;
  void after_backward(std::size_t unit) override;

 private:
  ZebraModel model_;
  ShardingOptions options_;
  ProcessGroups groups_;
  std::vector<ShardedUnit> units_;

  // The units in the order in which a forward pass comes to them, and how far the present pass is.
  std::vector<std::size_t> order_;
  std::size_t position_ = 0;
  std::vector<int> uses_left_;  // in the backward pass of this micro-batch
  bool last_micro_batch_ = false;
  ShardedUnit* reducing_ = nullptr;
};

}  // namespace zebra
