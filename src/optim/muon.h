#pragma once

#include <torch/types.h>

#include <cstdint>

#include "config/names.h"

// Muon (Jordan et al. 2024), the rule of torch.optim.Muon piece by piece: momentum and weights are
// flat ranges, of which a rank may have parts alone; orthogonalized() needs the whole matrix. All
// of it is queued on the device. Results do not depend on where ranges are cut: elements are
// computed without fused multiply-adds, which LibTorch's loops have in some places and not in
// others.

namespace zebra {

/// Whether the update is done (1 or 0), and what multiplies gradients before: as update_decision
/// gives them.
struct MuonStep {
  double lr, weight_decay, momentum;
  torch::Tensor decision;  ///< float32 [2]
};

/// The direction of Nesterov's momentum, bfloat16 [n], after `momentum` (float32 [n]) has taken up
/// `gradients` (float32 [n]): m += (1 - mu) (g - m); then g + mu (m - g).
torch::Tensor muon_direction(const torch::Tensor& momentum, const torch::Tensor& gradients,
                             const MuonStep& step);

/// Of a bfloat16 matrix nearly the nearest one with orthonormal rows or columns: five steps of
/// Newton-Schulz, in bfloat16, which leave singular values between some 0.5 and 1.5.
torch::Tensor orthogonalized(const torch::Tensor& direction);

/// What multiplies the learning rate of a matrix of that shape.
double muon_scale(MuonScale scale, std::int64_t rows, std::int64_t columns);

/// w <- w (1 - lr decay) - lr scale u for a range of float32 weights and its bfloat16 update.
void muon_update(const torch::Tensor& weights, const torch::Tensor& update, double scale,
                 const MuonStep& step);

}  // namespace zebra
