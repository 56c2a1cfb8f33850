#pragma once

// Float vectors of the width that this translation unit is compiled for. Everything here and in the
// files that build on it lives in an unnamed namespace: each instruction set has its own copy, and
// the linker can never hand one processor another's code. For the same reason no function template
// of the standard library is used there.

#include <cstdint>
#include <cstring>

#ifdef __AVX__
#include <immintrin.h>
#endif

namespace zebra::kernels {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
constexpr int kSums = 16;  // vectors of sums of a register block: half of the registers
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
constexpr int kSums = 8;
#else
constexpr int kVectorBytes = 16;
constexpr int kSums = 8;
#endif

constexpr int kLanes = kVectorBytes / 4;
using Vector = float __attribute__((vector_size(kVectorBytes)));
using IntVector = std::int32_t __attribute__((vector_size(kVectorBytes)));
using BitVector = std::uint32_t __attribute__((vector_size(kVectorBytes)));

constexpr double kLog2E = 1.44269504088896341, kLn2 = 0.693147180559945309;
constexpr float kInfinity = __builtin_inff();

template <class T>
inline T smaller(T a, T b) {
  return b < a ? b : a;
}
template <class T>
inline T larger(T a, T b) {
  return a < b ? b : a;
}

inline Vector load(const float* from) {
  Vector x;
  std::memcpy(&x, from, sizeof x);
  return x;
}

inline void store(float* to, Vector x) { std::memcpy(to, &x, sizeof x); }

/// By a difference: compilers know that it is x itself. A sum is not, where x is -0.
inline Vector broadcast(float x) { return x - Vector{}; }

inline IntVector lane_numbers() {
  IntVector lanes;
  for (int i = 0; i < kLanes; ++i) lanes[i] = i;
  return lanes;
}

/// b where either is NaN.
inline Vector maximum(Vector a, Vector b) {
#ifdef __AVX512F__
  return reinterpret_cast<Vector>(
      _mm512_max_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b)));
#else
  return a > b ? a : b;
#endif
}

inline Vector magnitude(Vector x) {
  return reinterpret_cast<Vector>(reinterpret_cast<BitVector>(x) & 0x7fffffffU);
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

/// The same by halves: another rounding, and sooner done.
inline float sum_by_halves(Vector x) {
#ifdef __AVX512F__
  return _mm512_reduce_add_ps(reinterpret_cast<__m512>(x));
#elif defined(__AVX__)
  const auto all = reinterpret_cast<__m256>(x);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
#else
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) x[i] += x[i + half];
  return x[0];
#endif
}

// Elements of the caller's arrays: float32, or bfloat16 as uint16_t.
inline float to_float(float x) { return x; }
inline float to_float(std::uint16_t x) {
  const std::uint32_t bits = static_cast<std::uint32_t>(x) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline void from_float(float x, float& to) { to = x; }
inline void from_float(float x, std::uint16_t& to) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const std::uint32_t nearest = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const std::uint32_t nan = (bits >> 16) | 0x40U;
  to = static_cast<std::uint16_t>((bits & 0x7fffffffU) > 0x7f800000U ? nan : nearest);
}

/// The nearest bfloat16, ties to even, in the upper halves; what the lower ones hold does not
/// matter. NaN stays NaN, as a quiet one.
inline BitVector nearest_bfloat16(Vector x) {
  const auto bits = reinterpret_cast<BitVector>(x);
#ifdef __AVX512F__
  const auto up = reinterpret_cast<__m512i>(bits + 0x7fffU), one = _mm512_set1_epi32(1);
  const auto is_odd =
      _mm512_test_epi32_mask(reinterpret_cast<__m512i>(bits), _mm512_set1_epi32(0x10000));
  const auto nearest = reinterpret_cast<BitVector>(_mm512_mask_add_epi32(up, is_odd, up, one));
#else
  const BitVector nearest = bits + 0x7fffU + ((bits >> 16) & 1U);
#endif
  return x == x ? nearest : bits | 0x400000U;
}

inline Vector load_elements(const float* from) { return load(from); }
inline Vector load_elements(const std::uint16_t* from) {
  std::uint16_t __attribute__((vector_size(kVectorBytes / 2))) x;
  std::memcpy(&x, from, sizeof x);
  return reinterpret_cast<Vector>(__builtin_convertvector(x, BitVector) << 16);
}
inline void store_elements(float* to, Vector x) { store(to, x); }
inline void store_elements(std::uint16_t* to, Vector x) {
  using HalfVector = std::uint16_t __attribute__((vector_size(kVectorBytes / 2)));
  const HalfVector half = __builtin_convertvector(nearest_bfloat16(x) >> 16, HalfVector);
  std::memcpy(to, &half, sizeof half);
}

/// An integer, and the float whose low bits hold it (where scalef does without).
struct Integers {
  Vector whole, shifted;
};

/// To the nearest, |x| < 2^22.
inline Integers nearest_integers(Vector x) {
#ifdef __AVX512F__
  const Vector whole = reinterpret_cast<Vector>(
      _mm512_roundscale_ps(reinterpret_cast<__m512>(x), _MM_FROUND_TO_NEAREST_INT | 8));
  return {whole, whole};
#else
  const Vector rounder = broadcast(12582912.0F);  // 1.5 x 2^23: the sum's low bits are the integer
  const Vector shifted = x + rounder;
  return {shifted - rounder, shifted};
#endif
}

/// 2^(whole + f), |f| <= 0.5. Without AVX-512 only for whole >= -126.
template <bool kExact>
inline Vector power_of_two(const Integers& integers, Vector f) {
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
      _mm512_scalef_ps(reinterpret_cast<__m512>(p), reinterpret_cast<__m512>(integers.whole)));
#else
  const BitVector exponent = (reinterpret_cast<BitVector>(integers.shifted) + 127U) << 23;
  return p * reinterpret_cast<Vector>(exponent);
#endif
}

/// `result` of an exponential of x; zero where it would be subnormal and power_of_two cannot give
/// it.
inline Vector without_underflow(Vector result, [[maybe_unused]] Vector x,
                                [[maybe_unused]] float least) {
#ifdef __AVX512F__
  return result;
#else
  return x < broadcast(least) ? Vector{} : result;
#endif
}

/// 2^x for x <= 127. Relative error below 2e-7 (kExact) or 1e-5 otherwise; exactly 1 at 0 and
/// exactly 0 below -160; NaN stays NaN.
template <bool kExact>
inline Vector exp2(Vector x) {
  x = maximum(broadcast(-160.0F), x);
  const Integers integers = nearest_integers(x);
  return without_underflow(power_of_two<kExact>(integers, x - integers.whole), x, -126.0F);
}

/// 2^x for x <= 127, by fewer instructions. Relative error below 3e-7 (kExact) or 3e-6 otherwise,
/// at 0 too; 0 at -infinity; NaN stays NaN.
template <bool kExact>
inline Vector exp2_nearly(Vector x) {
#ifdef __AVX512F__
  // 2^(x + 1/2) by its integer part, which scalef takes off itself, and a polynomial of the rest.
  const Vector shifted = x + 0.5F;
  const Vector f = reinterpret_cast<Vector>(
      _mm512_reduce_ps(reinterpret_cast<__m512>(shifted), _MM_FROUND_TO_NEG_INF | 8));
  Vector p;
  if constexpr (kExact) {
    p = f * 0.00132764725F + 0.00635642326F;
    p = p * f + 0.039475169F;
    p = p * f + 0.169814244F;
    p = p * f + 0.490133226F;
    p = p * f + 0.707106709F;
  } else {
    p = f * 0.0095701022F + 0.0367776565F;
    p = p * f + 0.170725808F;
    p = p * f + 0.490027696F;
    p = p * f + 0.707108617F;
  }
  return reinterpret_cast<Vector>(
      _mm512_scalef_ps(reinterpret_cast<__m512>(p), reinterpret_cast<__m512>(shifted)));
#else
  return exp2<kExact>(x);
#endif
}

/// 2^x for x <= 127, for results that are rounded to bfloat16 next. Relative error below 1e-4, a
/// twentieth of that rounding; exactly 1 at 0 and exactly 0 at -infinity; NaN stays NaN.
inline Vector exp2_for_bfloat16(Vector x) {
#ifdef __AVX512F__
  const Vector f = reinterpret_cast<Vector>(
      _mm512_reduce_ps(reinterpret_cast<__m512>(x), _MM_FROUND_TO_NEG_INF | 8));
  Vector p = f * 0.07706724F + 0.22764498F;
  p = p * f + 0.69511663F;
  p = p * f + 1.0F;
  return reinterpret_cast<Vector>(
      _mm512_scalef_ps(reinterpret_cast<__m512>(p), reinterpret_cast<__m512>(x)));
#else
  return exp2<false>(x);
#endif
}

/// e^x for x <= 88. Relative error below 3e-7 wherever the result is normal; exactly 1 at 0 and
/// exactly 0 below -110; NaN stays NaN.
inline Vector exp(Vector x) {
  x = maximum(broadcast(-110.0F), x);
  const Integers integers = nearest_integers(x * 1.44269504F);
  // ln 2 in two parts, so that the product with the first is exact and no digit of x is lost.
  const Vector rest = (x - integers.whole * 0.693145752F) - integers.whole * 1.42860677e-6F;
  return without_underflow(power_of_two<true>(integers, rest * 1.44269504F), x, -87.3365402F);
}

/// 1 / x for 2^-100 <= |x| <= 2^100, relative error below 2e-7; NaN stays NaN.
inline Vector reciprocal(Vector x) {
#ifdef __AVX512F__
  const Vector near = reinterpret_cast<Vector>(_mm512_rcp14_ps(reinterpret_cast<__m512>(x)));
  return near + near * (1.0F - x * near);
#else
  return 1.0F / x;
#endif
}

inline Vector square_root(Vector x) {
#if defined(__AVX512F__)
  return reinterpret_cast<Vector>(_mm512_sqrt_ps(reinterpret_cast<__m512>(x)));
#elif defined(__AVX__)
  return reinterpret_cast<Vector>(_mm256_sqrt_ps(reinterpret_cast<__m256>(x)));
#else
  for (int i = 0; i < kLanes; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}

}  // namespace
}  // namespace zebra::kernels
