#pragma once

#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "config/config.h"
#include "distributed/sharded_data_parallel.h"
#include "distributed/update_exchange.h"
#include "optim/adamw.h"
#include "optim/muon.h"

namespace zebra {

/// State of elements [begin, begin + values.numel()) of a unit's flat buffer.
struct OptimizerState {
  const char* group;  ///< as checkpoints name it
  std::size_t unit;
  std::int64_t begin;
  torch::Tensor values;  ///< [n] float32; shares memory with the optimizer
};

/// The optimizer of a run on this rank's shards: AdamW for all weights, or Muon for the matrices
/// inside the blocks and AdamW for the others. Muon's momentum lies in the shards; each matrix is
/// orthogonalized by one rank of the copy (UpdateExchange), and by one of every other copy too.
class ShardedOptimizer {
 public:
  /// `parallel` and its groups must outlive it.
  ShardedOptimizer(const OptimizerSection& settings, const ShardedDataParallel& parallel);

  /// One update as the device decides (update_decision), without waiting for it: it is not counted
  /// (AdamW::step). With Muon all ranks call it together.
  void step(double lr, const torch::Tensor& decision);

  /// Rounds the masters into the weights again; to be called after masters were loaded.
  void publish_masters();

  std::int64_t steps_taken() const { return adamw_.steps_taken(); }
  void set_steps_taken(std::int64_t steps) { adamw_.set_steps_taken(steps); }

  /// The masters of this rank's weights.
  std::vector<OptimizerState> masters() const;

  /// All of it: group after group, each in the order of the units.
  std::vector<OptimizerState> state() const;

 private:
  /// What of a shard one of the two rules updates.
  struct Part {
    std::size_t unit;
    std::int64_t begin;  ///< in the unit's flat buffer
    OptimizerRange range;
  };
  struct MatrixPart : Part {
    torch::Tensor masters, momentum;
    std::vector<std::size_t> matrices;  ///< of the exchange
  };

  static std::vector<Part> adamw_parts(const OptimizerSection& settings,
                                       const ShardedDataParallel& parallel);
  void add_matrices(const ShardedDataParallel& parallel);
  void update_matrices(double lr, const torch::Tensor& decision);
  torch::Tensor own_piece(const MatrixPart& part, std::size_t matrix,
                          const torch::Tensor& flat) const;

  OptimizerSection settings_;
  int rank_;
  std::vector<Part> adamw_parts_;
  AdamW adamw_;
  std::vector<MatrixPart> matrix_parts_;
  std::optional<UpdateExchange> exchange_;
};

}  // namespace zebra
