#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.h"
#include "distributed/communicator.h"
#include "model/parameter.h"

namespace zebra {

/// A named tensor's place in a flat unit: elements [begin, begin + numel).
struct FlatTensor {
  NamedTensor tensor;
  InitialWeights initial;
  std::int64_t begin;
};

/// One unit in one flat buffer, whose parameters lie where flat_offsets says. Gaps are zero and are
/// never stored.
class FlatLayout {
 public:
  FlatLayout(const ParameterUnit& unit, int ranks);

  const std::string& name() const { return name_; }
  std::int64_t size() const { return size_; }
  /// Elements [0, decayed_size()) are subject to weight decay.
  std::int64_t decayed_size() const { return decayed_size_; }
  const std::vector<FlatTensor>& tensors() const { return tensors_; }
  /// Those of them that Muon updates: nothing else lies in elements [0, matrix_size()).
  const std::vector<FlatTensor>& matrices() const { return matrices_; }
  std::int64_t matrix_size() const { return matrices_.empty() ? 0 : decayed_size_; }

  /// Fills `out` (1-D, any type), elements [begin, begin + out.numel()) of the buffer, with initial
  /// weights: the same values whatever the range.
  void fill_initial_weights(std::int64_t seed, std::int64_t begin, const torch::Tensor& out) const;

  /// Makes the unit's parameters views of `weights`, and their `.grad` views of `gradients` (both
  /// [size()]). Then `zero_grad`, `to(dtype)` and `create_graph` must not be used on the module:
  /// they would break the views. A change of a buffer between forward and backward is not noticed
  /// by autograd.
  void adopt(const torch::Tensor& weights, const torch::Tensor& gradients);

 private:
  struct Place {
    torch::Tensor parameter;
    std::int64_t begin;
  };

  std::string name_;
  std::int64_t size_ = 0, decayed_size_ = 0;
  std::vector<Place> places_;
  std::vector<FlatTensor> tensors_, matrices_;
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
  /// [size], uninitialized; `part` is what its memory counts as (ZEBRA_MEMORY_PART). Views must be
  /// made while there is memory.
  TransientBuffer(std::int64_t size, torch::TensorOptions options, const char* part);

  const torch::Tensor& tensor() const { return tensor_; }
  bool is_allocated() const { return tensor_.storage().nbytes() > 0; }

  /// Takes memory (uninitialized) where there is none.
  void allocate();
  /// Gives the memory back. On CUDA it then serves later work of the stream on which it was taken,
  /// and of that alone; so all that uses it must be ordered before, on that stream. It is: passes,
  /// and copies into and out of the buffer, run on the current stream, also in autograd's thread,
  /// and a collective, which has a stream of its own, is waited for before (PendingCollective).
  void free();

 private:
  const char* part_ = "";
  torch::Tensor tensor_;
};

/// One unit of the model, its weights and gradients split among the ranks as the mode says:
///
///   mode        weights                  gradients (float32)
///   none        whole                    whole
///   optimizer   whole                    whole; only this rank's shard is reduced
///   gradients   whole                    this rank's shard; whole during the unit's backward pass
///   full        this rank's shard;       as above
///               whole while it computes
///
/// The optimizer updates this rank's shard of both.
class ShardedUnit {
 public:
  /// Adopts the unit's parameters (FlatLayout::adopt) and fills this rank's memory with initial
  /// weights: the same whatever the ranks and mode.
  ShardedUnit(const ParameterUnit& unit, const ShardingOptions& options,
              const ProcessGroups& groups, torch::Device device, std::int64_t seed);

  const FlatLayout& layout() const { return layout_; }
  const std::string& name() const { return layout_.name(); }

  /// This rank's shard: elements [shard_begin(), shard_begin() + weight_shard().numel()) of the
  /// flat buffer.
  std::int64_t shard_begin() const { return shard_begin_; }
  const torch::Tensor& weight_shard() const { return weight_shard_; }
  const torch::Tensor& gradient_shard() const { return gradient_shard_; }

  /// Weights that stay in memory: the whole of them, or this rank's shard where they are split.
  const torch::Tensor& resident_weights() const {
    return splits_weights_ ? weight_shard_ : weights_.tensor();
  }

  bool splits_weights() const { return splits_weights_; }
  bool splits_gradients() const { return splits_gradients_; }

  // The whole weights. Each call may be made at any time and does nothing where nothing is to do.
  void start_gather();
  void finish_gather();
  void free_weights();

  /// After the optimizer has changed the shards: sends them to where the whole weights stay in
  /// memory. finish_gather() waits for it.
  void start_publishing();
  void finish_publishing();

  // The gradients of one step.
  void zero_gradients() { (splits_gradients_ ? gradient_shard_ : gradients_.tensor()).zero_(); }
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
  ProcessGroups groups_;
  FlatLayout layout_;
  bool splits_weights_, splits_gradients_;
  std::int64_t shard_begin_;
  TransientBuffer weights_, gradients_;
  torch::Tensor weight_shard_, gradient_shard_;
  torch::Tensor reduced_, replica_reduced_;  // what is on its way
  PendingCollective gather_, reduction_, replica_reduction_;
};

}  // namespace zebra
