#pragma once

namespace zebra::kernels {

// Softmax is computed in base 2: exp(x) = exp2(x log2(e)), one multiplication less per weight.
inline constexpr float kLog2E = 1.44269504088896340736F, kLn2 = 0.69314718055994530942F;

}  // namespace zebra::kernels
