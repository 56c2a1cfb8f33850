#pragma once

#include <torch/types.h>

namespace zebra {

/// The second half of SwiGLU (Shazeer, arXiv 2002.05202): (silu(gate) * up) x down_weight^T.
/// gate_up [..., 2 f] has the gates, then the values; down_weight [d, f]; result [..., d].
/// Differentiable. Of the activations gate_up alone is kept for the backward, which computes their
/// product again in the pass that forms its gradient.
torch::Tensor swiglu_linear(const torch::Tensor& gate_up, const torch::Tensor& down_weight);

/// The same in LibTorch's own operations: the reference of the fused kernel.
torch::Tensor plain_swiglu_linear(const torch::Tensor& gate_up, const torch::Tensor& down_weight);

}  // namespace zebra
