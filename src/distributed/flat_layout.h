#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

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
  std::vector<FlatTensor> tensors_;
};

}  // namespace zebra
