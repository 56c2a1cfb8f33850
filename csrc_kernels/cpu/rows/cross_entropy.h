#pragma once

#include "row.h"

namespace zebra::kernels {
namespace {

// A part of a row that stays in the nearest cache between its maximum and its exponentials.
constexpr std::int64_t kBlock = 2048;

template <class Element>
float largest_of(const Element* logits, Span block) {
  Pair largest = {broadcast(-kInfinity), broadcast(-kInfinity)};
  for_each<kPair>(block, [&](std::int64_t j, auto lanes) {
    const Pair x = load_pair(logits + j, lanes, -kInfinity);
    largest = {maximum(largest.even, x.even), maximum(largest.odd, x.odd)};
  });
  return largest_lane(maximum(largest.even, largest.odd));
}

/// exp(x - base); kSmallError: far below what a float32 sum of many loses, else far below
/// bfloat16's last bit.
template <class Element, bool kSmallError>
inline Vector exponential(Vector x, float base) {
  if constexpr (sizeof(Element) == sizeof(float)) return exp(x - base);
  return exp2_nearly<kSmallError>((x - base) * kFloatLog2E);
}

/// sum = sum_j exp(l_j - base), base the largest logit (0 where all are -inf).
struct Softmax {
  float base, sum;
};

template <class Element>
Softmax softmax_of_row(const Element* logits, std::int64_t vocabulary) {
  float largest = -kInfinity, base = 0.0F;
  Pair sum = {};
  for (std::int64_t begin = 0; begin < vocabulary; begin += kBlock) {
    const Span block = {begin, smaller(begin + kBlock, vocabulary)};
    const float most = largest_of(logits, block);
    if (most > largest) {
      const Vector factor = exponential<Element, true>(broadcast(largest), most);
      sum = {sum.even * factor, sum.odd * factor};
      largest = base = most;
    }
    for_each<kPair>(block, [&](std::int64_t j, auto lanes) {
      const Pair x = load_pair(logits + j, lanes, -kInfinity);
      sum.even += exponential<Element, true>(x.even, base);
      sum.odd += exponential<Element, true>(x.odd, base);
    });
  }
  return {base, sum_by_halves(sum.even + sum.odd)};
}

/// Of every element but the target's.
template <class Element>
void write_gradient(const Element* logits, const Softmax& softmax, float factor, Element* gradient,
                    std::int64_t vocabulary) {
  for_each<kPair>({0, vocabulary}, [&](std::int64_t j, auto lanes) {
    const Pair x = load_pair(logits + j, lanes);
    store_pair(gradient + j,
               {exponential<Element, false>(x.even, softmax.base) * factor,
                exponential<Element, false>(x.odd, softmax.base) * factor},
               lanes);
  });
}

template <class Element>
void cross_entropy_row(const CrossEntropy& a, std::int64_t row) {
  const auto* const logits = row_of<Element>(a.logits, row, a.vocabulary);
  auto* const gradient =
      a.gradient == nullptr ? nullptr : row_of<Element>(a.gradient, row, a.vocabulary);
  const std::int64_t target = a.targets[row];
  const Softmax softmax = softmax_of_row(logits, a.vocabulary);
  const double log_sum_exp =
      static_cast<double>(softmax.base) + static_cast<double>(__builtin_logf(softmax.sum));
  a.log_sum_exp[row] = static_cast<float>(log_sum_exp);
  a.cross_entropy[row] = 0.0F;
  if (target == kNoTarget) {
    if (gradient != nullptr)
      std::memset(gradient, 0, sizeof(Element) * static_cast<std::size_t>(a.vocabulary));
    return;
  }
  const float of_target = to_float(logits[target]);
  a.cross_entropy[row] = static_cast<float>(log_sum_exp - static_cast<double>(of_target));
  if (gradient == nullptr) return;
  const float factor = (1.0F + 2.0F * a.z_loss * static_cast<float>(log_sum_exp)) / softmax.sum;
  const float probability =
      exponential<Element, true>(broadcast(of_target), softmax.base)[0] * factor;
  write_gradient(logits, softmax, factor, gradient, a.vocabulary);
  from_float(probability - 1.0F, gradient[target]);
}

template <class Element>
void cross_entropy_rows(const CrossEntropy& a, Span rows) {
  for (std::int64_t row = rows.begin; row < rows.end; ++row) cross_entropy_row<Element>(a, row);
}

}  // namespace
}  // namespace zebra::kernels
