#include "emulated_tiles.h"

#include <bit>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "cpu/amx/tiles.h"
#include "csrc_kernels/local_attention_reference.h"
#include "support/catch.h"

namespace zebra::kernels::testing {
namespace {

struct Operands {
  std::uint16_t left[16][32],
      right[16][16][2];  // right[k][n]: elements 2 k and 2 k + 1 of column n
  float sum[16][16];
};

/// 2^-10 to 2^10 with signs; from the seed.
Operands random_operands(std::uint64_t seed) {
  Numbers numbers(seed);
  const auto next = [&] {
    const double exponent = 10.0 * numbers.next();
    return static_cast<float>(numbers.next() * std::exp2(exponent));
  };
  Operands o;
  for (auto& row : o.left)
    for (auto& x : row) x = to_bfloat16(next());
  for (auto& row : o.right)
    for (auto& pair : row)
      for (auto& x : pair) x = to_bfloat16(next());
  for (auto& row : o.sum)
    for (auto& x : row) x = next();
  return o;
}

using Sums = std::vector<float>;

Sums emulated(const Operands& o) {
  namespace tiles = emulated_tiles;
  Sums sums(256);
  tiles::configure();
  tiles::load<0>(o.sum, 64);
  tiles::load<1>(o.left, 64);
  tiles::load<2>(o.right, 64);
  tiles::multiply_add<0, 1, 2>();
  tiles::store<0>(sums.data(), 64);
  tiles::release();
  return sums;
}

Sums of_processor(const Operands& o) {
  Sums sums(256);
  tiles::configure();
  tiles::load<0>(o.sum, 64);
  tiles::load<1>(o.left, 64);
  tiles::load<2>(o.right, 64);
  tiles::multiply_add<0, 1, 2>();
  tiles::store<0>(sums.data(), 64);
  tiles::release();
  return sums;
}

float flushed(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0F, x) : x; }

/// Word by word, from the instruction's definition.
Sums by_definition(const Operands& o) {
  Sums sums;
  for (int m = 0; m < 16; ++m) {
    for (int n = 0; n < 16; ++n) {
      float part[2] = {0.0F, 0.0F};
      for (int k = 0; k < 16; ++k)
        for (int i = 0; i < 2; ++i)
          part[i] = flushed(std::fma(flushed(from_bfloat16(o.left[m][2 * k + i])),
                                     flushed(from_bfloat16(o.right[k][n][i])), part[i]));
      sums.push_back(flushed(flushed(o.sum[m][n]) + flushed(part[0] + part[1])));
    }
  }
  return sums;
}

bool same_bits(const Sums& a, const Sums& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), 4 * a.size()) == 0;
}

/// Operands whose products, sums or elements are subnormal in every combination.
Operands subnormal_operands() {
  Operands o = random_operands(7);
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 32; ++j) o.left[i][j] = to_bfloat16(std::ldexp(1.0F + float(j), -70 + i));
    for (int n = 0; n < 16; ++n) {
      o.right[i][n][0] = to_bfloat16(std::ldexp(n % 2 == 0 ? 1.0F : -1.5F, -60 - n));
      o.right[i][n][1] = static_cast<std::uint16_t>(n);  // subnormal
      o.sum[i][n] = std::ldexp(1.0F, -120 - n);
    }
  }
  return o;
}

TEST_CASE("an emulated product of tiles has the bits of its definition") {
  if (!emulated_tiles::allowed()) return;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const auto operands = random_operands(seed);
    REQUIRE(same_bits(emulated(operands), by_definition(operands)));
  }
  CHECK(same_bits(emulated(subnormal_operands()), by_definition(subnormal_operands())));
}

TEST_CASE("an emulated product of tiles has the bits of the processor's") {
  if (!tiles::allowed()) {
    WARN("skipped: no AMX");
    return;
  }
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const auto operands = random_operands(seed);
    REQUIRE(same_bits(emulated(operands), of_processor(operands)));
  }
  CHECK(same_bits(emulated(subnormal_operands()), of_processor(subnormal_operands())));
}

TEST_CASE("emulated tiles are refused where none are configured") {
  if (!emulated_tiles::allowed()) return;
  namespace tiles = emulated_tiles;
  float rows[16][16] = {};
  CHECK_THROWS_AS(tiles::zero<0>(), std::logic_error);
  CHECK_THROWS_AS(tiles::load<0>(rows, 64), std::logic_error);
  CHECK_THROWS_AS(tiles::store<0>(rows, 64), std::logic_error);
  CHECK_THROWS_AS((tiles::multiply_add<0, 1, 2>()), std::logic_error);
  tiles::configure();
  CHECK(tiles::are_configured());
  CHECK_THROWS_AS((tiles::multiply_add<0, 0, 2>()), std::logic_error);
  tiles::release();
  CHECK(!tiles::are_configured());
}

}  // namespace
}  // namespace zebra::kernels::testing
