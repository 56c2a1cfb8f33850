#pragma once

// Rows of the caller's arrays, two vectors at a time.

#include "../kernel_table.h"
#include "../vector.h"

namespace zebra::kernels {
namespace {

constexpr float kFloatLog2E = static_cast<float>(kLog2E);

/// Elements of two vectors, which are neighbours in memory. Of bfloat16 elements `even` holds the
/// even ones and `odd` the odd ones, so that none changes its 32 bits between load and store; of
/// float32 elements `even` holds the first half.
struct Pair {
  Vector even, odd;
};
constexpr int kPair = 2 * kLanes;

/// How much of a pair or a vector the array has: all of it, or only the first `count` elements.
struct Whole {};
struct Part {
  int count;
};

inline Pair load_pair(const float* from, Whole) { return {load(from), load(from + kLanes)}; }
inline Pair load_pair(const std::uint16_t* from, Whole) {
  BitVector bits;
  std::memcpy(&bits, from, sizeof bits);
  return {reinterpret_cast<Vector>(bits << 16), reinterpret_cast<Vector>(bits & 0xffff0000U)};
}
/// `otherwise` in place of what the array lacks.
template <class Element>
inline Pair load_pair(const Element* from, Part part, float otherwise = 0.0F) {
  Element elements[kPair];
  for (auto& element : elements) from_float(otherwise, element);
  std::memcpy(elements, from, static_cast<std::size_t>(part.count) * sizeof(Element));
  return load_pair(elements, Whole{});
}
template <class Element>
inline Pair load_pair(const Element* from, Whole whole, float /*otherwise*/) {
  return load_pair(from, whole);
}

inline void store_pair(float* to, Pair x, Whole) {
  store(to, x.even);
  store(to + kLanes, x.odd);
}
inline void store_pair(std::uint16_t* to, Pair x, Whole) {
  const BitVector bits = (nearest_bfloat16(x.even) >> 16) | (nearest_bfloat16(x.odd) & 0xffff0000U);
  std::memcpy(to, &bits, sizeof bits);
}
template <class Element>
inline void store_pair(Element* to, Pair x, Part part) {
  Element elements[kPair];
  store_pair(elements, x, Whole{});
  std::memcpy(to, elements, static_cast<std::size_t>(part.count) * sizeof(Element));
}

template <class Element>
inline Vector load_elements(const Element* from, Whole) {
  return load_elements(from);
}
template <class Element>
inline Vector load_elements(const Element* from, Part part) {
  Element elements[kLanes] = {};
  std::memcpy(elements, from, static_cast<std::size_t>(part.count) * sizeof(Element));
  return load_elements(elements);
}
template <class Element>
inline void store_elements(Element* to, Vector x, Whole) {
  store_elements(to, x);
}
template <class Element>
inline void store_elements(Element* to, Vector x, Part part) {
  Element elements[kLanes];
  store_elements(elements, x);
  std::memcpy(to, elements, static_cast<std::size_t>(part.count) * sizeof(Element));
}

/// The two halves in memory's order, of a pair as Element loads it.
template <class Element>
inline Pair in_order(Pair x) {
  if constexpr (sizeof(Element) == sizeof(float)) return x;
  float elements[kPair];
  for (int i = 0; i < kLanes; ++i) {
    elements[2 * i] = x.even[i];
    elements[2 * i + 1] = x.odd[i];
  }
  return load_pair(elements, Whole{});
}

/// x as an array of Element holds it.
template <class Element>
inline Vector rounded(Vector x) {
  if constexpr (sizeof(Element) == sizeof(float)) return x;
  return reinterpret_cast<Vector>(nearest_bfloat16(x) & 0xffff0000U);
}

/// body(first element, Whole or Part) for each kStep elements of [begin, end).
template <int kStep, class Body>
inline __attribute__((always_inline)) void for_each(Span span, const Body& body) {
  std::int64_t j = span.begin;
  for (; j + kStep <= span.end; j += kStep) body(j, Whole{});
  if (j < span.end) body(j, Part{static_cast<int>(span.end - j)});
}

template <class Element>
inline const Element* row_of(const void* array, std::int64_t row, std::int64_t width) {
  return static_cast<const Element*>(array) + row * width;
}
template <class Element>
inline Element* row_of(void* array, std::int64_t row, std::int64_t width) {
  return static_cast<Element*>(array) + row * width;
}

}  // namespace
}  // namespace zebra::kernels
