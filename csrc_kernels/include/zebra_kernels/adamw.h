#pragma once

#include <cstdint>
#include <optional>

#include "zebra_kernels/kernel.h"

namespace zebra::kernels {

// One update of AdamW (Loshchilov and Hutter, arXiv 1711.05101) on a flat range, with the clipping
// before it and the rounding of the weights after it, in one pass over memory, on the CPU. float32:
//
//   g  = gradient_scale gradient
//   m <- m + (1 - beta1) (g - m)
//   v <- beta2 v + (1 - beta2) g^2
//   w <- (1 - lr weight_decay) w  -  (lr / correction1) m / (sqrt(v) / sqrt(correction2) + eps)
//   rounded = w in bfloat16, to nearest even
//
// where elements [0, decayed_size) alone are decayed. The same bits on every call and for every
// number of threads.

/// What changes from step to step: an argument in memory, so that a GPU can compute it itself.
struct AdamwStep {
  float gradient_scale = 1.0F;             // of clipping
  float correction1 = 1, correction2 = 1;  // 1 - beta1^t and 1 - beta2^t of this update, the t-th
  float applies = 1;                       // 0: the step is skipped, and nothing is written
};

struct AdamwUpdate {
  std::int64_t size = 0, decayed_size = 0;
  const float* gradients = nullptr;
  float *weights = nullptr, *first_moments = nullptr, *second_moments = nullptr;
  void* rounded = nullptr;  // [size] bfloat16; null: not wanted
  float lr = 0, beta1 = 0, beta2 = 0, eps = 0, weight_decay = 0;
  const AdamwStep* step = nullptr;
};

/// Throws std::invalid_argument with a sentence that says what is wrong, before it writes anything.
void adamw_update(const AdamwUpdate& arguments, const ParallelFor& parallel_for,
                  std::optional<InstructionSet> instruction_set = std::nullopt);

}  // namespace zebra::kernels
