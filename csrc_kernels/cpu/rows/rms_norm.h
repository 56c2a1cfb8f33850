#pragma once

#include "row.h"

namespace zebra::kernels {
namespace {

// A row is read twice, the second time from a near cache.

template <class Element>
float sum_of_squares(const Element* x, std::int64_t width) {
  Pair sum = {};
  for_each<kPair>({0, width}, [&](std::int64_t j, auto lanes) {
    const Pair a = load_pair(x + j, lanes);
    sum.even += a.even * a.even;
    sum.odd += a.odd * a.odd;
  });
  return sum_by_halves(sum.even + sum.odd);
}

/// Writes the rounded sum, and returns the sum of its squares.
template <class Element>
float add_rows(const Element* x, const Element* added, Element* sum, std::int64_t width) {
  Pair squares = {};
  for_each<kPair>({0, width}, [&](std::int64_t j, auto lanes) {
    const Pair a = load_pair(x + j, lanes), b = load_pair(added + j, lanes);
    const Pair s = {rounded<Element>(a.even + b.even), rounded<Element>(a.odd + b.odd)};
    squares.even += s.even * s.even;
    squares.odd += s.odd * s.odd;
    store_pair(sum + j, s, lanes);
  });
  return sum_by_halves(squares.even + squares.odd);
}

template <class Element>
void scale_row(const Element* x, const Element* weight, float factor, Element* out,
               std::int64_t width) {
  for_each<kPair>({0, width}, [&](std::int64_t j, auto lanes) {
    const Pair a = load_pair(x + j, lanes), w = load_pair(weight + j, lanes);
    store_pair(out + j, {a.even * factor * w.even, a.odd * factor * w.odd}, lanes);
  });
}

template <class Element>
float inverse_rms_of_row(const RmsNormForward& a, std::int64_t row) {
  const std::int64_t width = a.shape.width;
  const auto* const x = row_of<Element>(a.x, row, width);
  const float squares = a.added == nullptr ? sum_of_squares(x, width)
                                           : add_rows(x, row_of<Element>(a.added, row, width),
                                                      row_of<Element>(a.sum, row, width), width);
  return 1.0F / __builtin_sqrtf(squares / static_cast<float>(width) + a.eps);
}

template <class Element>
void rms_norm_forward_rows(const RmsNormForward& a, Span rows) {
  // Between the sum of a row's squares and its use lie some hundred cycles of waiting: a few rows
  // pass them together.
  constexpr std::int64_t kTogether = 4;
  const std::int64_t width = a.shape.width;
  const auto* const weight = static_cast<const Element*>(a.weight);
  const void* const sum = a.added == nullptr ? a.x : a.sum;
  for (std::int64_t first = rows.begin; first < rows.end; first += kTogether) {
    const std::int64_t end = smaller(first + kTogether, rows.end);
    float inverse_rms[kTogether];
    for (std::int64_t row = first; row < end; ++row)
      inverse_rms[row - first] = inverse_rms_of_row<Element>(a, row);
    for (std::int64_t row = first; row < end; ++row) {
      const float inverse = inverse_rms[row - first];
      if (a.inverse_rms != nullptr) a.inverse_rms[row] = inverse;
      scale_row(row_of<Element>(sum, row, width), weight, inverse,
                row_of<Element>(a.out, row, width), width);
    }
  }
}

/// Adds d_out n to `partial`, and returns the mean of d n.
template <class Element>
float reduce_row(const RmsNormBackward& a, std::int64_t row, float* partial) {
  const std::int64_t width = a.shape.width;
  const auto* const sum = row_of<Element>(a.sum, row, width);
  const auto* const d_out = row_of<Element>(a.d_out, row, width);
  const auto* const weight = static_cast<const Element*>(a.weight);
  const float inverse = a.inverse_rms[row];
  Pair dot = {};
  for_each<kPair>({0, width}, [&](std::int64_t j, auto lanes) {
    const Pair s = load_pair(sum + j, lanes), d = load_pair(d_out + j, lanes),
               w = load_pair(weight + j, lanes), before = load_pair(partial + j, Whole{});
    const Pair product = {s.even * inverse * d.even, s.odd * inverse * d.odd};
    dot.even += product.even * w.even;
    dot.odd += product.odd * w.odd;
    store_pair(partial + j, {before.even + product.even, before.odd + product.odd}, Whole{});
  });
  return sum_by_halves(dot.even + dot.odd) / static_cast<float>(width);
}

template <class Element, bool kHasSumGradient>
void write_input_gradient(const RmsNormBackward& a, std::int64_t row, float mean) {
  const std::int64_t width = a.shape.width;
  const auto* const sum = row_of<Element>(a.sum, row, width);
  const auto* const d_out = row_of<Element>(a.d_out, row, width);
  const auto* const d_sum = kHasSumGradient ? row_of<Element>(a.d_sum, row, width) : nullptr;
  const auto* const weight = static_cast<const Element*>(a.weight);
  auto* const d_x = row_of<Element>(a.d_x, row, width);
  const float inverse = a.inverse_rms[row];
  for_each<kPair>({0, width}, [&](std::int64_t j, auto lanes) {
    const Pair s = load_pair(sum + j, lanes), d = load_pair(d_out + j, lanes),
               w = load_pair(weight + j, lanes);
    Pair gradient = {d.even * w.even - s.even * inverse * mean,
                     d.odd * w.odd - s.odd * inverse * mean};
    gradient = {gradient.even * inverse, gradient.odd * inverse};
    if constexpr (kHasSumGradient) {
      const Pair more = load_pair(d_sum + j, lanes);
      gradient = {gradient.even + more.even, gradient.odd + more.odd};
    }
    store_pair(d_x + j, gradient, lanes);
  });
}

template <class Element>
void rms_norm_backward_rows(const RmsNormBackward& a, Span rows, float* partial) {
  std::memset(partial, 0, sizeof(float) * static_cast<std::size_t>(padded_width(a.shape.width)));
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const float mean = reduce_row<Element>(a, row, partial);
    if (a.d_sum == nullptr)
      write_input_gradient<Element, false>(a, row, mean);
    else
      write_input_gradient<Element, true>(a, row, mean);
  }
}

template <class Element>
void rms_norm_join_columns(const RmsNormBackward& a, Span columns, std::int64_t blocks) {
  const auto* const workspace = static_cast<const float*>(a.workspace);
  const std::int64_t stride = padded_width(a.shape.width);
  for_each<kPair>(columns, [&](std::int64_t j, auto lanes) {
    Pair sum = {};
    for (std::int64_t block = 0; block < blocks; ++block) {
      const Pair partial = load_pair(workspace + block * stride + j, Whole{});
      sum = {sum.even + partial.even, sum.odd + partial.odd};
    }
    store_pair(a.d_weight + j, in_order<Element>(sum), lanes);
  });
}

}  // namespace
}  // namespace zebra::kernels
