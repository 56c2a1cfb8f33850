#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include "config/config.h"
#include "model/parameter.h"

namespace zebra {

/// SwiGLU (Shazeer, arXiv 2002.05202): down(silu(gate(x)) * up(x)), gate and up in one projection.
/// No biases.
class FeedForwardImpl : public torch::nn::Cloneable<FeedForwardImpl> {
 public:
  explicit FeedForwardImpl(const ModelSection& model,
                           ParameterMemory memory = ParameterMemory::allocated);
  void reset() override;

  /// x [B, T, hidden_size] -> [B, T, hidden_size].
  torch::Tensor forward(const torch::Tensor& x);

  torch::Tensor gate_up_weight;  ///< [2 intermediate_size, hidden_size]: rows of gate, then of up
  torch::Tensor down_weight;     ///< [hidden_size, intermediate_size]

 private:
  std::int64_t hidden_size_, intermediate_size_;
  ParameterMemory memory_;
};
TORCH_MODULE(FeedForward);

}  // namespace zebra
