#pragma once

#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <cmath>
#include <functional>
#include <vector>

#include "support/catch.h"

namespace zebra::testing {

/// Largest absolute difference, in float64; NaN when either holds a NaN or the shapes differ.
inline double largest_difference(const torch::Tensor& a, const torch::Tensor& b) {
  if (a.sizes() != b.sizes()) return std::nan("");
  if (a.numel() == 0) return 0.0;
  return (a.to(torch::kFloat64) - b.to(torch::kFloat64)).abs().max().item<double>();
}

inline bool same_bits(const torch::Tensor& a, const torch::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && torch::equal(a.cpu(), b.cpu());
}

/// Fails on NaN: `x <= bound` is false for it.
inline void require_close(const torch::Tensor& actual, const torch::Tensor& expected,
                          double bound) {
  const double difference = largest_difference(actual, expected);
  INFO("largest difference " << difference << ", bound " << bound);
  REQUIRE(difference <= bound);
}

/// The accuracy rule: error against the float64 result at most twice that of the naive form in the
/// same precision, plus one unit of rounding of the largest value (1e-6 relative in float32, one
/// bfloat16 ulp in bfloat16).
inline void require_as_exact_as_naive(const torch::Tensor& actual, const torch::Tensor& naive,
                                      const torch::Tensor& exact) {
  const double unit = actual.scalar_type() == torch::kBFloat16 ? 0x1.0p-8 : 1e-6;
  const double floor = unit * exact.abs().max().item<double>() + 1e-6;
  require_close(actual, exact, 2.0 * largest_difference(naive, exact) + floor);
}

/// Compares <gradient, direction> with the central difference of `f` along each of a few random
/// directions.
inline void require_directional_derivative(
    const std::function<torch::Tensor(const torch::Tensor&)>& f, torch::Tensor x,
    double step = 1e-2, double relative = 2e-2) {
  x = x.detach().clone().set_requires_grad(true);
  const auto gradient = torch::autograd::grad({f(x)}, {x})[0];
  const torch::NoGradGuard no_grad;
  for (int trial = 0; trial < 3; ++trial) {
    const auto direction = torch::randn_like(x);
    const double analytic = (gradient * direction).sum().item<double>();
    const double numeric =
        (f(x + step * direction).item<double>() - f(x - step * direction).item<double>()) /
        (2 * step);
    const double scale = gradient.norm().item<double>() + 1e-3;
    INFO("analytic " << analytic << ", numeric " << numeric);
    REQUIRE(std::abs(analytic - numeric) <= relative * scale);
  }
}

}  // namespace zebra::testing
