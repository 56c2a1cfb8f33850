#pragma once

// Float vectors of the width that this translation unit is compiled for. Everything here and in the
// files that build on it lives in an unnamed namespace: each instruction set has its own copy, and
// the linker can never hand one processor another's code. For the same reason no function template
// of the standard library is used there.

#include <cstdint>
#include <cstring>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace zebra::kernels {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
constexpr int kBlockVectors = 4;  // columns of a register block: 4 x 4 of 32 registers
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
constexpr int kBlockVectors = 2;
#else
constexpr int kVectorBytes = 16;
constexpr int kBlockVectors = 2;
#endif

constexpr int kLanes = kVectorBytes / 4;
using Vector = float __attribute__((vector_size(kVectorBytes)));
using IntVector = std::int32_t __attribute__((vector_size(kVectorBytes)));
using BitVector = std::uint32_t __attribute__((vector_size(kVectorBytes)));

inline Vector load(const float* from) {
  Vector x;
  std::memcpy(&x, from, sizeof x);
  return x;
}

inline void store(float* to, Vector x) { std::memcpy(to, &x, sizeof x); }

inline Vector broadcast(float x) { return Vector{} + x; }

inline IntVector lane_numbers() {
  IntVector lanes;
  for (int i = 0; i < kLanes; ++i) lanes[i] = i;
  return lanes;
}

inline Vector maximum(Vector a, Vector b) {
#ifdef __AVX512F__
  return reinterpret_cast<Vector>(
      _mm512_max_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b)));
#else
  return a > b ? a : b;
#endif
}

inline float largest_lane(Vector x) {
#ifdef __AVX512F__
  return _mm512_reduce_max_ps(reinterpret_cast<__m512>(x));
#else
  float largest = x[0];
  for (int i = 1; i < kLanes; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
#endif
}

inline float sum_of_lanes(Vector x) {
  float sum = 0.0F;
  for (int i = 0; i < kLanes; ++i) sum += x[i];
  return sum;
}

/// 2^x for x <= 127. Relative error below 2e-7 (kExact) or 1e-5 otherwise; exactly 1 at 0 and
/// exactly 0 below -160; NaN stays NaN.
template <bool kExact>
inline Vector exp2(Vector x) {
  const Vector least = broadcast(-160.0F);
  x = x < least ? least : x;
#ifdef __AVX512F__
  const Vector whole = reinterpret_cast<Vector>(
      _mm512_roundscale_ps(reinterpret_cast<__m512>(x), _MM_FROUND_TO_NEAREST_INT | 8));
#else
  const Vector rounder = broadcast(12582912.0F);  // 1.5 x 2^23: the sum's low bits are the integer
  const Vector rounded = x + rounder;
  const Vector whole = rounded - rounder;
#endif
  const Vector f = x - whole;
  Vector p;
  if constexpr (kExact) {
    p = f * 0.000154531629F + 0.00133908634F;
    p = p * f + 0.00961808256F;
    p = p * f + 0.0555035711F;
    p = p * f + 0.240226508F;
    p = p * f + 0.693147188F;
  } else {
    p = f * 0.00965671029F + 0.0558382829F;
    p = p * f + 0.240225301F;
    p = p * f + 0.693136734F;
  }
  p = p * f + 1.0F;
#ifdef __AVX512F__
  return reinterpret_cast<Vector>(
      _mm512_scalef_ps(reinterpret_cast<__m512>(p), reinterpret_cast<__m512>(whole)));
#else
  // Bits of the exponent; results that would be subnormal become 0.
  const BitVector exponent = (reinterpret_cast<BitVector>(rounded) + 127U) << 23;
  const Vector result = p * reinterpret_cast<Vector>(exponent);
  return x < broadcast(-126.0F) ? Vector{} : result;
#endif
}

}  // namespace
}  // namespace zebra::kernels
