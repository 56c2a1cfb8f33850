#pragma once

#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include "ops/attention_inputs.h"

namespace zebra::testing {

struct AttentionGradients {
  torch::Tensor out, packed;
};

/// What `attention` makes of a PackedHeads, and the gradient of the packed projection: q, k and v
/// are slices of it, as in the model. Every call has a projection of its own.
template <class Attention>
AttentionGradients attention_gradients(const torch::Tensor& packed, std::int64_t query_heads,
                                       const torch::Tensor& out_gradient,
                                       const Attention& attention) {
  const auto input = packed.detach().clone().set_requires_grad(true);
  const auto out = attention(PackedHeads{input, query_heads});
  return {out.detach(), torch::autograd::grad({out}, {input}, {out_gradient})[0]};
}

}  // namespace zebra::testing
