#pragma once

#include <type_traits>

#include "device.h"

namespace zebra::kernels {

// Exponentials are computed in base 2: exp(x) = exp2(x log2(e)), one multiplication less for each.
inline constexpr float kLog2E = 1.44269504088896340736F, kLn2 = 0.69314718055994530942F;

namespace rows {

/// exp(x), for results that are rounded to Element: to |x| 2^-23 for bfloat16, to 2^-21 for
/// float32. Subnormals are 0. Large x: infinite for bfloat16, exp(88) for float32.
template <class Element>
ZEBRA_DEVICE float exponential(float x) {
  if constexpr (std::is_same_v<Element, float>) {
    constexpr float kSmallest = -120.0F, kLargest = 88.0F, kRestOfLog2E = 1.92596299e-8F;
    if (x < kSmallest) x = kSmallest;
    if (x > kLargest) x = kLargest;
    // exp2 of the product as it is rounded, and a first-order step for what the rounding took.
    const float product = x * kLog2E;
    const float rest = device::fused_multiply_add(x, kLog2E, -product) + x * kRestOfLog2E;
    const float near = device::exp2(product);
    return near + near * (rest * kLn2);
  } else {
    return device::exp2(x * kLog2E);
  }
}

}  // namespace rows
}  // namespace zebra::kernels
