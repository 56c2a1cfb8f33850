#include "adamw_kernel.h"
#include "row_arguments.h"
#include "zebra_kernels/row_kernels_cuda.h"

namespace zebra::kernels::cuda {

using namespace rows;

void adamw_update(const AdamwUpdate& a, CUstream_st* stream) {
  check_arguments(a);
  constexpr std::int64_t kElementsOfBlock = std::int64_t{kAdamwThreads} * kAdamwElements;
  const std::int64_t blocks = (a.size + kElementsOfBlock - 1) / kElementsOfBlock;
  require(blocks < (std::int64_t{1} << 31), "AdamW",
          "on CUDA there may be fewer than 2^42 elements, got " + std::to_string(a.size) + ".");
  if (a.size == 0) return;
  AdamwParameters p;
  p.size = a.size;
  p.decayed_size = a.decayed_size;
  p.gradients = a.gradients;
  p.weights = a.weights;
  p.first_moments = a.first_moments;
  p.second_moments = a.second_moments;
  p.rounded = static_cast<std::uint16_t*>(a.rounded);
  p.step = a.step;
  p.lr = a.lr;
  p.beta2 = a.beta2;
  p.eps = a.eps;
  p.decay_factor = 1.0F - a.lr * a.weight_decay;
  p.one_minus_beta1 = 1.0F - a.beta1;
  p.one_minus_beta2 = 1.0F - a.beta2;
  const bool is_aligned =
      are_aligned(a.gradients, a.weights, a.first_moments, a.second_moments, a.rounded);
  device::launch(is_aligned ? adamw_kernel<true> : adamw_kernel<false>,
                 device::Grid{static_cast<int>(blocks), 1, 1}, kAdamwThreads, 0, p, stream);
}

}  // namespace zebra::kernels::cuda
