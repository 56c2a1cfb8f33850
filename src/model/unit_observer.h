#pragma once

#include <cstddef>

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

}  // namespace zebra
