#pragma once

#include "row.h"

namespace zebra::kernels {
namespace {

// The sigmoid of the least gate is a normal number; what its product with the gate would be, and is
// not, is below 1e-35.
constexpr float kLeastGate = -87.0F;

/// sigmoid(x) and 1 - sigmoid(x), neither by a difference; x >= kLeastGate.
struct Sigmoid {
  Vector value, complement;
};

template <class Element>
inline Sigmoid sigmoid(Vector x) {
  Vector e, value;
  if constexpr (sizeof(Element) == sizeof(float)) {
    e = exp(-x);
    value = 1.0F / (1.0F + e);
  } else {  // errors of a thousandth of bfloat16's last bit
    e = exp2_nearly<false>(x * -kFloatLog2E);
    value = reciprocal(1.0F + e);
  }
  return {value, e * value};
}

template <class Element>
inline Vector swiglu_value(Vector gate, Vector up) {
  gate = maximum(broadcast(kLeastGate), gate);
  return gate * sigmoid<Element>(gate).value * up;
}

struct SwigluGradients {
  Vector gate, up, out;
};

template <class Element>
inline SwigluGradients swiglu_gradients(Vector gate, Vector up, Vector d_out) {
  gate = maximum(broadcast(kLeastGate), gate);
  const Sigmoid s = sigmoid<Element>(gate);
  const Vector swish = gate * s.value;
  return {d_out * up * (s.value + swish * s.complement), d_out * swish, swish * up};
}

template <class Element>
void swiglu_forward_rows(const SwigluForward& a, Span rows) {
  const std::int64_t width = a.shape.width;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const auto* const gates = row_of<Element>(a.gate_up, row, 2 * width);
    const auto* const ups = gates + width;
    auto* const out = row_of<Element>(a.out, row, width);
    for_each<kPair>({0, width}, [&](std::int64_t j, auto lanes) {
      const Pair g = load_pair(gates + j, lanes), u = load_pair(ups + j, lanes);
      store_pair(out + j,
                 {swiglu_value<Element>(g.even, u.even), swiglu_value<Element>(g.odd, u.odd)},
                 lanes);
    });
  }
}

template <class Element, bool kWritesOut>
void swiglu_backward_row(const SwigluBackward& a, std::int64_t row) {
  const std::int64_t width = a.shape.width;
  const auto* const gates = row_of<Element>(a.gate_up, row, 2 * width);
  const auto* const ups = gates + width;
  const auto* const d_outs = row_of<Element>(a.d_out, row, width);
  auto* const d_gates = row_of<Element>(a.d_gate_up, row, 2 * width);
  auto* const d_ups = d_gates + width;
  auto* const out = kWritesOut ? row_of<Element>(a.out, row, width) : nullptr;
  for_each<kPair>({0, width}, [&](std::int64_t j, auto lanes) {
    const Pair g = load_pair(gates + j, lanes), u = load_pair(ups + j, lanes),
               d = load_pair(d_outs + j, lanes);
    const SwigluGradients even = swiglu_gradients<Element>(g.even, u.even, d.even),
                          odd = swiglu_gradients<Element>(g.odd, u.odd, d.odd);
    store_pair(d_gates + j, {even.gate, odd.gate}, lanes);
    store_pair(d_ups + j, {even.up, odd.up}, lanes);
    if constexpr (kWritesOut) store_pair(out + j, {even.out, odd.out}, lanes);
  });
}

template <class Element>
void swiglu_backward_rows(const SwigluBackward& a, Span rows) {
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    if (a.out == nullptr)
      swiglu_backward_row<Element, false>(a, row);
    else
      swiglu_backward_row<Element, true>(a, row);
  }
}

}  // namespace
}  // namespace zebra::kernels
