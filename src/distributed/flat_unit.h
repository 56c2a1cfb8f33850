#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <vector>

#include "model/parameter.h"

namespace zebra {

/// A named tensor's place in a flat unit: elements [begin, begin + numel).
struct FlatTensor {
  NamedTensor tensor;
  std::int64_t begin;
};

/// Adopts the parameters of one unit of the model: one flat buffer of weights and one of float32
/// gradients, of which the module's parameters and their `.grad` become views. Sharding is by range
/// of the buffer, a collective or an optimizer step is one call per unit. Decayed parameters come
/// first, norms last; each parameter starts at a multiple of 64 elements, the size is a multiple of
/// 64; the gaps are zero and are never stored.
///
/// After adoption `zero_grad`, `to(dtype)` and `create_graph` must not be used on the module: they
/// would break the views. A change of the buffer between forward and backward is not noticed by
/// autograd.
class FlatUnit {
 public:
  /// Moves the weights to `device` in type `weight_type` (float32 or bfloat16).
  FlatUnit(const ParameterUnit& unit, torch::ScalarType weight_type, torch::Device device);

  const std::string& name() const { return name_; }
  std::int64_t size() const { return weights_.numel(); }
  /// Elements [0, decayed_size()) are subject to weight decay.
  std::int64_t decayed_size() const { return decayed_size_; }
  const std::vector<FlatTensor>& tensors() const { return tensors_; }

  const torch::Tensor& weights() const { return weights_; }      ///< [size()], the model's type
  const torch::Tensor& gradients() const { return gradients_; }  ///< [size()], float32

  void zero_gradients() { gradients_.zero_(); }

 private:
  std::string name_;
  std::int64_t decayed_size_ = 0;
  std::vector<FlatTensor> tensors_;
  torch::Tensor weights_, gradients_;
};

}  // namespace zebra
