#pragma once

#include <torch/types.h>

#include <cstddef>
#include <functional>

namespace zebra {

/// Hears when a pass through the model comes to a unit and leaves it; units are numbered as in
/// ZebraModel::units(). Sharded data parallelism gathers weights and reduces gradients there. With
/// tied embeddings a pass comes to unit 0 twice: as the embedding and as the head.
class UnitObserver {
 public:
  virtual ~UnitObserver() = default;

  virtual void before_forward(std::size_t unit) = 0;
  virtual void after_forward(std::size_t unit) = 0;

  /// The unit is computed again first where its activations were not kept. `reads_weights` is false
  /// where the backward pass has no use for them (the embedding).
  virtual void before_backward(std::size_t unit, bool reads_weights) = 0;

  /// The gradients of this use of the unit have been added to those of its parameters.
  virtual void after_backward(std::size_t unit) = 0;
};

/// One use of a unit in a pass through the model.
struct UnitPass {
  std::size_t unit;
  const char* part = "unit";         ///< what it is called where time is measured
  UnitObserver* observer = nullptr;  ///< may be absent; outlives the backward pass
  bool recompute = false;            ///< keep the input only, and compute again in backward
  bool backward_reads_weights = true;
};

/// Computes body(input). `input` may be undefined (the embedding has none that is differentiable);
/// parameters that `body` reads get their gradients as ever.
///
/// Where gradients are recorded and there is an observer or recomputation, the unit is one node of
/// the autograd graph: its backward pass calls the observer, computes `body` again if asked to
/// (activation checkpointing, Chen et al., arXiv 1604.06174), and runs the graph of `body` alone.
/// So one gather of sharded weights serves recomputation and backward. Gradients are the same bits
/// in every case. Only a single backward pass is supported.
torch::Tensor run_unit(const UnitPass& pass, const torch::Tensor& input,
                       const std::function<torch::Tensor(const torch::Tensor&)>& body);

}  // namespace zebra
