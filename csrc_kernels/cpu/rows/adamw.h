#pragma once

#include "row.h"

namespace zebra::kernels {
namespace {

/// The numbers of one update, each rounded once.
struct AdamwFactors {
  float gradient_scale, rest1, beta2, rest2, kept, step_size, inverse_correction, eps;
};

inline AdamwFactors adamw_factors(const AdamwUpdate& a) {
  const AdamwStep& step = *a.step;
  const auto lr = static_cast<double>(a.lr);
  return {step.gradient_scale,
          static_cast<float>(1.0 - static_cast<double>(a.beta1)),
          a.beta2,
          static_cast<float>(1.0 - static_cast<double>(a.beta2)),
          static_cast<float>(1.0 - lr * static_cast<double>(a.weight_decay)),
          static_cast<float>(lr / static_cast<double>(step.correction1)),
          static_cast<float>(1.0 / __builtin_sqrt(static_cast<double>(step.correction2))),
          a.eps};
}

template <bool kHasRounded>
void update_elements(const AdamwUpdate& a, const AdamwFactors& f, float kept, Span elements) {
  auto* const rounded_weights = static_cast<std::uint16_t*>(a.rounded);
  for_each<kLanes>(elements, [&](std::int64_t j, auto lanes) {
    const Vector g = load_elements(a.gradients + j, lanes) * f.gradient_scale;
    Vector m = load_elements(a.first_moments + j, lanes),
           v = load_elements(a.second_moments + j, lanes), w = load_elements(a.weights + j, lanes);
    m = m + f.rest1 * (g - m);
    v = f.beta2 * v + f.rest2 * g * g;
    w = kept * w - f.step_size * m / (square_root(v) * f.inverse_correction + f.eps);
    store_elements(a.first_moments + j, m, lanes);
    store_elements(a.second_moments + j, v, lanes);
    store_elements(a.weights + j, w, lanes);
    if constexpr (kHasRounded) store_elements(rounded_weights + j, w, lanes);
  });
}

inline void adamw_update_elements(const AdamwUpdate& a, Span elements) {
  const AdamwFactors factors = adamw_factors(a);
  const auto update = [&](float kept, Span span) {
    if (a.rounded == nullptr)
      update_elements<false>(a, factors, kept, span);
    else
      update_elements<true>(a, factors, kept, span);
  };
  const std::int64_t end_of_decay = smaller(elements.end, larger(elements.begin, a.decayed_size));
  update(factors.kept, {elements.begin, end_of_decay});
  update(1.0F, {end_of_decay, elements.end});
}

}  // namespace
}  // namespace zebra::kernels
