#include <cmath>
#include <limits>

#include "emulation/kernel_support.h"
#include "support/catch.h"

namespace zebra::kernels::testing {
namespace {

constexpr int kTileRows = 16, kTileColumns = 8, kTileDepth = 16;

struct ProductParameters {
  const std::uint16_t* a;             // [16, 16]
  const std::uint16_t* b;             // [16, 8]
  const std::uint16_t* b_transposed;  // [8, 16]
  float* c;                           // [16, 8]
  bool transpose;
};

/// C = 100 + A B in one warp. B comes by rows and is transposed on the way, or comes by columns.
ZEBRA_KERNEL(32, 1) product_kernel(ZEBRA_PARAMETER ProductParameters p) {
  using namespace device;
  const int lane = thread_index();
  std::byte* const a_tile = shared_memory();
  std::byte* const b_tile = a_tile + kTileRows * kTileDepth * 2;
  copy_async(a_tile + 16 * lane, p.a + 8 * lane, true);
  if (lane < 16)
    copy_async(b_tile + 16 * lane, (p.transpose ? p.b : p.b_transposed) + 8 * lane, true);
  commit_copies();
  wait_copies<0>();
  warp_barrier();
  std::uint32_t a[4], b[4];
  load_matrices(a, a_tile + lane % 16 * 32 + lane / 16 * 16);
  if (p.transpose)
    load_matrices_transposed(b, b_tile + lane % 16 * 16);
  else
    load_matrices(b, b_tile + lane % 8 * 32 + lane / 8 % 2 * 16);
  float c[4] = {100, 100, 100, 100};
  multiply_add(c, a, b[0], b[1]);
  const int row = lane / 4, column = 2 * (lane % 4);
  for (int i = 0; i < 4; ++i) p.c[(row + i / 2 * 8) * kTileColumns + column + i % 2] = c[i];
}

/// Small whole numbers, exact in bfloat16 and in all sums, different in every place.
struct Product {
  std::vector<std::uint16_t> a, b, b_transposed;
  std::vector<float> c, expected;

  Product()
      : a(kTileRows * kTileDepth),
        b(kTileDepth * kTileColumns),
        b_transposed(b),
        c(kTileRows * kTileColumns),
        expected(c) {
    const auto bits = [](int x) {
      return static_cast<std::uint16_t>(device::pack_bfloat16(static_cast<float>(x), 0));
    };
    const auto left = [](int i, int k) { return i * 5 % 17 - k * 7 % 11 + i * k % 3; };
    const auto right = [](int k, int j) { return k * 3 % 13 - j * 9 % 7 - k * j % 5; };
    for (int i = 0; i < kTileRows; ++i)
      for (int k = 0; k < kTileDepth; ++k) a[i * kTileDepth + k] = bits(left(i, k));
    for (int k = 0; k < kTileDepth; ++k)
      for (int j = 0; j < kTileColumns; ++j)
        b[k * kTileColumns + j] = b_transposed[j * kTileDepth + k] = bits(right(k, j));
    for (int i = 0; i < kTileRows; ++i)
      for (int j = 0; j < kTileColumns; ++j) {
        int sum = 100;
        for (int k = 0; k < kTileDepth; ++k) sum += left(i, k) * right(k, j);
        expected[i * kTileColumns + j] = static_cast<float>(sum);
      }
  }

  bool is_right_with(bool transpose) {
    run(product_kernel, 32, 2 * (kTileRows + kTileColumns) * kTileDepth,
        ProductParameters{a.data(), b.data(), b_transposed.data(), c.data(), transpose});
    return c == expected;
  }
};

TEST_CASE("fragments make the product of two matrices") {
  for (const auto policy : kPolicies)
    for (const std::uint64_t seed : {0, 1, 2}) {
      const Conditions conditions({seed, policy});
      Product product;
      CHECK(product.is_right_with(false));
      CHECK(product.is_right_with(true));
    }
}

TEST_CASE("swapped registers spoil a product") {
  for (const auto kind : {Fault::Kind::kSwapA, Fault::Kind::kSwapB}) {
    emulation::take_counts();
    const Conditions conditions({}, {kind});
    Product product;
    CHECK_FALSE(product.is_right_with(false));
    CHECK(emulation::take_counts().faults == 1);
  }
}

struct RowsParameters {
  int step;  // from row to row in shared memory
};

ZEBRA_KERNEL(32, 1) rows_kernel(ZEBRA_PARAMETER RowsParameters p) {
  std::uint32_t m[4];
  const int row = device::thread_index() % 8;  // of the same matrix four times
  device::load_matrices(m, device::shared_memory() + row * p.step);
}

TEST_CASE("rows of a matrix in the same banks are conflicts") {
  const auto conflicts = [](int step) {
    emulation::take_counts();
    run(rows_kernel, 32, 4096, RowsParameters{step});
    return emulation::take_counts().matrix_load_conflicts;
  };
  CHECK(conflicts(16) == 0);
  CHECK(conflicts(0) == 0);  // one row for all
  CHECK(conflicts(128 + 16) == 0);
  CHECK(conflicts(32) == 4 * 1);
  CHECK(conflicts(64) == 4 * 3);
  CHECK(conflicts(128) == 4 * 7);
}

struct ShuffleParameters {
  float* floats;  // [mask - 1, lane]
  int* ints;
};

ZEBRA_KERNEL(64, 1) shuffle_kernel(ZEBRA_PARAMETER ShuffleParameters p) {
  const int thread = device::thread_index();
  for (int mask = 1; mask < 32; ++mask) {
    const int at = (mask - 1) * 64 + thread;
    p.floats[at] = device::shuffle_xor(0.5F + static_cast<float>(thread), mask);
    p.ints[at] = device::shuffle_xor(-thread, mask);
  }
}

TEST_CASE("a shuffle exchanges values inside each warp") {
  std::vector<float> floats(31 * 64);
  std::vector<int> ints(31 * 64);
  run(shuffle_kernel, 64, 0, ShuffleParameters{floats.data(), ints.data()});
  for (int mask = 1; mask < 32; ++mask)
    for (int thread = 0; thread < 64; ++thread) {
      const auto at = static_cast<std::size_t>((mask - 1) * 64 + thread);
      REQUIRE(floats[at] == 0.5F + static_cast<float>(thread ^ mask));
      REQUIRE(ints[at] == -(thread ^ mask));
    }
}

TEST_CASE("functions of numbers") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kSubnormal = 0x1p-127F;
  CHECK(device::exp2(-kInfinity) == 0);
  CHECK(device::exp2(3) == 8);
  CHECK(device::exp2(kSubnormal) == 1);
  CHECK(device::exp2(-126) == 0x1p-126F);
  CHECK(device::exp2(-127) == 0);
  CHECK(std::isnan(device::exp2(NAN)));
  CHECK(device::log2(0) == -kInfinity);
  CHECK(device::log2(kSubnormal) == -kInfinity);
  CHECK(device::log2(8) == 3);
  CHECK(std::isnan(device::log2(-1)));
  CHECK(device::reciprocal(4) == 0.25F);
  CHECK(device::reciprocal(0) == kInfinity);
  CHECK(device::reciprocal(kSubnormal) == kInfinity);
  CHECK(device::reciprocal(0x1p127F) == 0);
  CHECK(device::reciprocal(kInfinity) == 0);
  CHECK(device::square_root(0x1p-128F) == 0x1p-64F);
  CHECK(std::isnan(device::square_root(-1)));
  CHECK(device::natural_log(1) == 0);
  CHECK(device::natural_log(0) == -kInfinity);
  CHECK(device::natural_log(kSubnormal) == static_cast<float>(-127 * std::log(2.0)));
  CHECK(device::fused_multiply_add(1 + 0x1p-23F, 1 - 0x1p-23F, -1) == -0x1p-46F);
  CHECK(device::to_bits(-2) == 0xc0000000u);
  CHECK(device::from_bits(0x7f800000u) == kInfinity);
}

TEST_CASE("bfloat16 is rounded to nearest even") {
  const auto rounded = [](float x) { return device::low_bfloat16(device::pack_bfloat16(x, 7)); };
  CHECK(device::high_bfloat16(device::pack_bfloat16(3, -7)) == -7);
  CHECK(rounded(1 + 0x1p-8F) == 1);                       // a tie, down to even
  CHECK(rounded(1 + 3 * 0x1p-8F) == 1 + 0x1p-6F);         // a tie, up to even
  CHECK(rounded(1 + 0x1p-8F + 0x1p-20F) == 1 + 0x1p-7F);  // above a tie
  CHECK(rounded(-1 - 0x1p-8F) == -1);
  CHECK(rounded(std::numeric_limits<float>::max()) == std::numeric_limits<float>::infinity());
  CHECK(std::signbit(rounded(-0.0F)));
  CHECK(std::isnan(rounded(std::bit_cast<float>(0x7f800001))));
  CHECK(std::isnan(rounded(std::bit_cast<float>(0xffffffff))));
}

}  // namespace
}  // namespace zebra::kernels::testing
