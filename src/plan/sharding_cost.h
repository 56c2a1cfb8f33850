#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "config/config.h"

// What sharded data parallelism costs a rank, in closed form: bytes in memory by part, and bytes on
// the wire.
//
// R ranks hold r copies of the state, each split among s = R / r neighbouring ranks; without
// sharding s = 1, r = R. The units of the model are the embedding, each block, and the head with
// the final norm (one unit with the embedding when tied), each a flat buffer padded to 64 s
// elements. P is the sum of their sizes, w the bytes of a weight (2 in bf16, 4 in fp32), g those of
// a gradient while it is added up (parallel.reduce_precision). In fp32 the weights are the masters.
//
//   bytes in memory       none    optimizer   gradients   full
//   weights               P w     P w         P w         P w / s
//   gradients             4 P     4 P         4 P / s     4 P / s
//   masters (bf16)        4 P     4 P / s     4 P / s     4 P / s
//   moments               8 P     8 P / s     8 P / s     8 P / s
//
// With Muon the elements of its matrices, M of them, have 4 bytes of momentum instead of 8 of
// moments; given is the rank that has fewest of them, the last.
//
// For a while there are also whole weights and gradients of single units, and with g = 2 rounded
// copies of what is being added up: micro_batch_schedule says when.
//
// Collectives are rings of n ranks: in an all-gather or a reduce-scatter of V bytes each rank sends
// (n - 1) / n V, in an all-reduce twice that. A step of A micro-batches has
//
//   none        once     all-reduce of gradients (g P) over r
//   optimizer   once     reduce-scatter of gradients (g P) over s, all-reduce of the part (g P / s)
//                        over r, all-gather of weights (w P) over s
//   gradients   A times  reduce-scatter of gradients (g P) over s
//               once     all-reduce of the part over r, all-gather of weights over s
//   full        A times  all-gather of weights over s in forward, and in backward of the blocks
//                        alone; reduce-scatter of gradients over s
//               once     all-reduce of the part over r
//
// With Muon each rank of a copy also sends, once, 2 M / s bytes of directions to the owners of
// matrices, and as owner as many of updates back, less what is its own: on average, since the
// owners' shares differ.
//
// A tied unit is gathered in forward twice: for the embedding, and again for the head. Where s = 1
// there is nothing to share, and every mode is `none`.

namespace zebra {

struct ShardedModel {
  Sharding sharding = Sharding::none;  ///< none where s = 1
  std::int64_t shards = 1;             ///< s
  std::int64_t replicas = 1;           ///< r
  std::vector<std::int64_t> units;     ///< padded sizes in elements, in the order of forward
  /// Elements at the beginning of each unit that Muon updates: none with AdamW.
  std::vector<std::int64_t> matrices = {};
  bool tied = false;               ///< units[0] is the head too
  std::int64_t weight_bytes = 4;   ///< w
  std::int64_t reduced_bytes = 4;  ///< g

  std::int64_t ranks() const { return shards * replicas; }
  std::int64_t elements() const;  ///< P
  bool splits_gradients() const {
    return sharding == Sharding::gradients || sharding == Sharding::full;
  }
  /// Whole weights stay in memory, but a rank updates its part of them alone.
  bool publishes_weights() const {
    return sharding == Sharding::optimizer || sharding == Sharding::gradients;
  }
};

/// s: how many ranks share one copy of the state, 1 without sharding. Throws InputError where
/// parallel.replicas does not divide the ranks.
std::int64_t ranks_per_replica(const ParallelSection& parallel, std::int64_t ranks);

/// How many ranks share each sequence: parallel.context. Throws InputError where it does not divide
/// the ranks.
std::int64_t context_ranks(const ParallelSection& parallel, std::int64_t ranks);

/// Throws InputError as ranks_per_replica does.
ShardedModel shard_model(const ModelConfig& model, Precision precision,
                         const ParallelSection& parallel, std::int64_t ranks,
                         OptimizerType optimizer = OptimizerType::adamw);

/// What is in memory and on the wire while one stage of a pass computes, or between two. Stages are
/// 0 for the embedding, 1 … n for the blocks, n + 1 for the head; everything else names units.
struct Moment {
  bool backward = false;
  std::optional<std::size_t> stage;       ///< that computes, if any
  std::vector<std::size_t> gathered;      ///< whose whole weights are in memory beside the parts
  std::vector<std::size_t> gradients;     ///< whose whole float32 gradients are, likewise
  std::vector<std::size_t> copies;        ///< with g = 2: whose rounded whole gradients are, too
  std::vector<std::size_t> all_reducing;  ///< whose part is on its way among the replicas
  std::optional<std::size_t> gathering;   ///< whose weights arrive
  std::optional<std::size_t> reducing;    ///< whose gradients are added up among the shards
};

/// A forward and a backward pass. Weights arrive one unit ahead of the one that computes; gradients
/// leave one behind it: in every micro-batch where they are split, else in the `last` one, from
/// which on they are also added up among the replicas, until the step ends. The head's weights stay
/// from forward into backward, the embedding's backward needs none. The gradients of a tied unit
/// live from the head's backward to the embedding's.
std::vector<Moment> micro_batch_schedule(const ShardedModel& model, bool last);

struct RankMemory {
  std::int64_t weights = 0, gradients = 0, masters = 0, moments = 0;
  // At the moment at which they are the most together:
  std::int64_t gathered_weights = 0, gradients_in_flight = 0, reduction_copies = 0;

  std::int64_t resident() const { return weights + gradients + masters + moments; }
  std::int64_t transient() const {
    return gathered_weights + gradients_in_flight + reduction_copies;
  }
  std::int64_t total() const { return resident() + transient(); }
};

RankMemory memory_per_rank(const ShardedModel& model);

// Bytes that each rank sends for one unit.
double gather_bytes(const ShardedModel& model, std::size_t unit);      ///< its weights, over s
double scatter_bytes(const ShardedModel& model, std::size_t unit);     ///< its gradients, over s
double all_reduce_bytes(const ShardedModel& model, std::size_t unit);  ///< the part of them, over r

/// Bytes that a rank sends in both exchanges of Muon.
double update_bytes(const ShardedModel& model);

/// Bytes that each rank sends in a step, by collective.
struct Traffic {
  double gathers = 0, scatters = 0, all_reduces = 0;
  double updates = 0;  ///< of Muon

  double total() const { return gathers + scatters + all_reduces + updates; }
};

Traffic traffic_per_step(const ShardedModel& model, std::int64_t micro_batches);

}  // namespace zebra
