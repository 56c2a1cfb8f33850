#pragma once

#include "row.h"

// What changes weights, or their gradients, where they are.

namespace zebra::kernels {
namespace {

/// The numbers of one update, each rounded once.
struct AdamwFactors {
  float gradient_scale, rest1, beta2, rest2, decay, step_size, inverse_correction, eps;
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
void update_elements(const AdamwUpdate& a, const AdamwFactors& f, float decay, Span elements) {
  auto* const rounded_weights = static_cast<std::uint16_t*>(a.rounded);
  for_each<kLanes>(elements, [&](std::int64_t j, auto lanes) {
    const Vector g = load_elements(a.gradients + j, lanes) * f.gradient_scale;
    Vector m = load_elements(a.first_moments + j, lanes),
           v = load_elements(a.second_moments + j, lanes), w = load_elements(a.weights + j, lanes);
    m = m + f.rest1 * (g - m);
    v = f.beta2 * v + f.rest2 * g * g;
    w = decay * w - f.step_size * m / (square_root(v) * f.inverse_correction + f.eps);
    store_elements(a.first_moments + j, m, lanes);
    store_elements(a.second_moments + j, v, lanes);
    store_elements(a.weights + j, w, lanes);
    if constexpr (kHasRounded) store_elements(rounded_weights + j, w, lanes);
  });
}

inline void adamw_update_elements(const AdamwUpdate& a, Span elements) {
  const AdamwFactors factors = adamw_factors(a);
  const auto update = [&](float decay, Span span) {
    if (a.rounded == nullptr)
      update_elements<false>(a, factors, decay, span);
    else
      update_elements<true>(a, factors, decay, span);
  };
  const std::int64_t end_of_decay = smaller(elements.end, larger(elements.begin, a.decayed_size));
  update(factors.decay, {elements.begin, end_of_decay});
  update(1.0F, {end_of_decay, elements.end});
}

/// Rows of d_out that belong to one token, positions in `sorted_tokens`.
template <class Element, int kVectors, class Lanes>
inline __attribute__((always_inline)) void add_run(const EmbeddingBackward& a, Span run,
                                                   std::int64_t column, Lanes lanes) {
  Vector sum[kVectors] = {};
  for (std::int64_t i = run.begin; i < run.end; ++i) {
    const auto* const from = row_of<Element>(a.d_out, a.order[i], a.width) + column;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[v] += load_elements(from + v * kLanes, lanes);
  }
  float* const to = a.d_weight + a.sorted_tokens[run.begin] * a.width + column;
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v)
    store_elements(to + v * kLanes, load_elements(to + v * kLanes, lanes) + sum[v], lanes);
}

template <class Element>
void embedding_backward_positions(const EmbeddingBackward& a, Span positions, Span columns) {
  constexpr int kVectors = 8;  // sums that stay in registers
  std::int64_t i = positions.begin;
  // A token that began before belongs to the task of its first position.
  while (i < positions.end && i > 0 && a.sorted_tokens[i] == a.sorted_tokens[i - 1]) ++i;
  while (i < positions.end) {
    Span run = {i, i + 1};
    while (run.end < a.rows && a.sorted_tokens[run.end] == a.sorted_tokens[i]) ++run.end;
    std::int64_t j = columns.begin;
    for (; j + kVectors * kLanes <= columns.end; j += kVectors * kLanes)
      add_run<Element, kVectors>(a, run, j, Whole{});
    for_each<kLanes>({j, columns.end}, [&](std::int64_t column, auto lanes) {
      add_run<Element, 1>(a, run, column, lanes);
    });
    i = run.end;
  }
}

}  // namespace
}  // namespace zebra::kernels
