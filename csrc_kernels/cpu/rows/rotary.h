#pragma once

#include "row.h"

namespace zebra::kernels {
namespace {

template <class Element, bool kInverse>
void rotate_head(const Element* x, const float* cos, const float* sin, std::int64_t half,
                 Element* out) {
  for_each<kLanes>({0, half}, [&](std::int64_t j, auto lanes) {
    const Vector lower = load_elements(x + j, lanes), upper = load_elements(x + half + j, lanes),
                 c = load_elements(cos + j, lanes), s = load_elements(sin + j, lanes),
                 turned = kInverse ? -s : s;
    store_elements(out + j, lower * c - upper * turned, lanes);
    store_elements(out + half + j, upper * c + lower * turned, lanes);
  });
}

template <class Element, bool kInverse>
void rotate_tokens(const Rotary& a, Span tokens) {
  const std::int64_t half = a.head_size / 2;
  for (std::int64_t token = tokens.begin; token < tokens.end; ++token) {
    const std::int64_t b = token / a.length, t = token % a.length,
                       angle = b * a.table.batch_stride + t * a.table.token_stride;
    const auto* const x =
        static_cast<const Element*>(a.x.data) + b * a.x.batch_stride + t * a.x.token_stride;
    auto* const out =
        static_cast<Element*>(a.out.data) + b * a.out.batch_stride + t * a.out.token_stride;
    for (std::int64_t head = 0; head < a.heads; ++head)
      rotate_head<Element, kInverse>(x + head * a.x.head_stride, a.table.cos + angle,
                                     a.table.sin + angle, half, out + head * a.out.head_stride);
  }
}

template <class Element>
void rotary_tokens(const Rotary& a, Span tokens) {
  if (a.inverse)
    rotate_tokens<Element, true>(a, tokens);
  else
    rotate_tokens<Element, false>(a, tokens);
}

}  // namespace
}  // namespace zebra::kernels
