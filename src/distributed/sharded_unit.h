#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>

#include "config/config.h"
#include "distributed/communicator.h"
#include "distributed/flat_layout.h"

namespace zebra {

/// The groups that a rank belongs to. Ranks [k s, (k + 1) s) hold one copy of the sharded state
/// together: replica k.
struct RankGroups {
  Communicator* shards;    ///< of this replica: each rank holds another part of the state
  Communicator* replicas;  ///< one of each replica: all hold the same part
};

/// What of the training state is split, and in which types it lives and travels.
struct ShardingOptions {
  Sharding sharding;
  torch::ScalarType weight_type;  ///< of the model: float32 or bfloat16
  torch::ScalarType reduce_type;  ///< in which gradients are added over the ranks
};

/// A flat buffer whose memory can be given back and taken again while views of it live on.
class TransientBuffer {
 public:
  TransientBuffer() = default;
  /// [size], uninitialised. Views must be made while there is memory.
  TransientBuffer(std::int64_t size, torch::TensorOptions options);

  const torch::Tensor& tensor() const { return tensor_; }
  bool is_allocated() const { return tensor_.storage().nbytes() > 0; }

  /// Takes memory (uninitialised) where there is none.
  void allocate();
  /// Gives the memory back. On CUDA in the order of the current stream.
  void free();

 private:
  torch::Tensor tensor_;
};

/// One unit of the model, its weights and gradients split among the ranks as the mode says:
///
///   mode        weights                  gradients (float32)
///   none        whole                    whole
///   optimizer   whole                    whole; only this rank's part is reduced
///   gradients   whole                    this rank's part; whole during the unit's backward pass
///   full        this rank's part; whole  as above
///               while the unit computes
///
/// The optimizer updates this rank's part of both.
class ShardedUnit {
 public:
  /// Adopts the unit's parameters (FlatLayout::adopt) and fills this rank's memory with initial
  /// weights: the same whatever the ranks and mode.
  ShardedUnit(const ParameterUnit& unit, const ShardingOptions& options, const RankGroups& groups,
              torch::Device device, std::int64_t seed);

  const FlatLayout& layout() const { return layout_; }
  const std::string& name() const { return layout_.name(); }

  /// This rank's part: elements [part_begin(), part_begin() + part().numel()) of the flat buffer.
  std::int64_t part_begin() const { return part_begin_; }
  const torch::Tensor& weight_part() const { return weight_part_; }
  const torch::Tensor& gradient_part() const { return gradient_part_; }

  /// Weights that stay in memory: the whole of them, or this rank's part where they are split.
  const torch::Tensor& resident_weights() const;

  bool splits_weights() const { return splits_weights_; }
  bool splits_gradients() const { return splits_gradients_; }

  // The whole weights. Each call may be made at any time and does nothing where nothing is to do.
  void start_gather();
  void finish_gather();
  void free_weights();

  /// After the optimizer has changed the parts: sends them to where the whole weights stay in
  /// memory. finish_gather() waits for it.
  void start_publishing();
  void finish_publishing();

  // The gradients of one step.
  void zero_gradients();
  /// Before a backward pass through the unit: memory for the whole gradients.
  void prepare_gradients();
  /// After it: adds up over the ranks of the replica. `last` is for the last micro-batch: then
  /// finish_reduction() begins to add up over the replicas too, which finish_step() waits for.
  void start_reduction();
  void finish_reduction(bool last);
  void finish_step();

 private:
  /// The buffer that is reduced: the gradients, or a rounded copy of them.
  torch::Tensor reduction_buffer(const torch::Tensor& gradients) const;
  void start_replica_reduction();

  ShardingOptions options_;
  RankGroups groups_;
  FlatLayout layout_;
  bool splits_weights_, splits_gradients_;
  std::int64_t part_begin_;
  TransientBuffer weights_, gradients_;
  torch::Tensor weight_part_, gradient_part_;
  torch::Tensor reduced_, replica_reduced_;  // what is on its way
  PendingCollective gather_, reduction_, replica_reduction_;
};

}  // namespace zebra
