#include "csrc_kernels/row_cases_cuda.h"
#include "support/catch.h"
#include "zebra_kernels/row_kernels_cuda.h"

// The CUDA kernels' own source, run by tests/emulation on the CPU.

namespace zebra::kernels::testing {
namespace {

struct NormCase {
  std::int64_t rows, width, offset = 0;  // offset: of all arrays, in elements
  bool adds = true, in_place = false;    // adds: `added` forward, d_sum backward
};

/// Forward and backward; what is wrong, and the bits of all results.
std::string run_norm(const NormCase& c, const RmsNormInputs& in, const RmsNormResults& naive,
                     const RmsNormResults& exact, std::string* bits) {
  const auto type = in.shape.type;
  const std::int64_t count = c.rows * c.width;
  DeviceArray x(type, in.x, c.offset), added(type, in.added, c.offset),
      weight(type, in.weight, c.offset), d_out(type, in.d_out, c.offset),
      d_sum(type, in.d_sum, c.offset), own_sum(type, count, c.offset), out(type, count, c.offset),
      own_d_x(type, count, c.offset), inverse_rms(ElementType::kFloat32, c.rows),
      d_weight(ElementType::kFloat32, c.width);
  DeviceArray& sum = !c.adds ? x : c.in_place ? added : own_sum;
  DeviceArray& d_x = !c.in_place ? own_d_x : c.adds ? d_sum : d_out;
  cuda::rms_norm_forward({in.shape, x.data(), c.adds ? added.data() : nullptr, weight.data(),
                          in.eps, c.adds ? sum.data() : nullptr, out.data(), inverse_rms.floats()},
                         nullptr);
  DeviceArray workspace(
      ElementType::kFloat32,
      static_cast<std::int64_t>(cuda::rms_norm_backward_workspace_bytes(in.shape) / 4));
  cuda::rms_norm_backward(
      {in.shape, sum.data(), weight.data(), inverse_rms.floats(), d_out.data(),
       c.adds ? d_sum.data() : nullptr, d_x.data(), d_weight.floats(), workspace.data()},
      nullptr);

  *bits = out.bits() + inverse_rms.bits() + d_x.bits() + d_weight.bits();
  std::string errors = sum.values() == exact.sum ? "" : "sum is not the rounded sum; ";
  errors += errors_of("out", out, naive.out, exact.out, c.width);
  errors += errors_of("inverse_rms", inverse_rms, naive.inverse_rms, exact.inverse_rms, 1);
  errors += errors_of("d_x", d_x, naive.d_x, exact.d_x, c.width);
  errors += errors_of("d_weight", d_weight, naive.d_weight, exact.d_weight, c.width);
  if (!sum.guards_untouched() || !workspace.guards_untouched()) errors += "wrote outside; ";
  return errors;
}

void check_norm(const NormCase& c, ElementType type) {
  INFO("rows " << c.rows << " width " << c.width << " offset " << c.offset << " adds " << c.adds
               << " in place " << c.in_place << " type " << static_cast<int>(type));
  const RmsNormInputs in({c.rows, c.width, type}, 3, c.adds, c.adds);
  const auto naive = rms_norm_reference<float>(in), exact = rms_norm_reference<double>(in);
  CHECK(same_bits_on_every_schedule([&] {
    std::string bits;
    CHECK(run_norm(c, in, naive, exact, &bits) == "");
    return bits;
  }));
}

TEST_CASE("emulated RMSNorm is as exact as its definition, whatever the schedule") {
  for (const auto type : kTypes) {
    for (const std::int64_t width : {1, 7, 8, 31, 64, 100, 768, 1024, 1025, 1032, 4104}) {
      check_norm({5, width}, type);
      check_norm({3, width, 0, false, width % 2 == 0}, type);
      check_norm({2, width, 0, true, true}, type);
    }
    check_norm({4, 64, 1}, type);
    check_norm({2, 1040, 2, false}, type);
    check_norm({1, 1}, type);
  }
}

TEST_CASE("emulated RMSNorm: more rows than groups of threads, more columns than registers hold") {
  check_norm({2048 + 2048 + 3, 16}, ElementType::kBfloat16);
  check_norm({2051, 21}, ElementType::kFloat32);
  check_norm({1029, 516, 0, false}, ElementType::kFloat32);  // 1024 groups of two warps
  check_norm({2, 16384}, ElementType::kBfloat16);
  check_norm({131, 8204, 0, true, true}, ElementType::kFloat32);
  check_norm({3, 8193, 0, false}, ElementType::kFloat32);
  check_norm({3, 16411}, ElementType::kBfloat16);
  check_norm({2, 16400, 0, true, true}, ElementType::kBfloat16);
}

TEST_CASE("RMSNorm of no rows zeroes d_weight; of no array that is not wanted it writes nothing") {
  DeviceArray d_weight(ElementType::kFloat32, 50);
  RmsNormBackward backward;
  backward.shape = {0, 50, ElementType::kBfloat16};
  backward.d_weight = d_weight.floats();
  cuda::rms_norm_backward(backward, nullptr);
  CHECK(d_weight.values() == Values(50, 0.0));
  CHECK(d_weight.guards_untouched());
  cuda::rms_norm_forward({{0, 50, ElementType::kFloat32}}, nullptr);

  DeviceArray x(ElementType::kFloat32, Values{3, 4, 0, 0}),
      weight(ElementType::kFloat32, {1, 1, 2, 2}), out(ElementType::kFloat32, 4);
  cuda::rms_norm_forward({{1, 4, ElementType::kFloat32},
                          x.data(),
                          nullptr,
                          weight.data(),
                          0.0F,
                          nullptr,
                          out.data(),
                          nullptr},
                         nullptr);
  CHECK(out.values()[1] == Approx(1.6));
}

TEST_CASE("in emulated RMSNorm a non-finite row reaches itself and d_weight only") {
  for (const auto type : kTypes) {
    for (const std::int64_t width : {40, 2000}) {
      Values x = random_values(6 * width, type, 1), weight = random_values(width, type, 2);
      x[static_cast<std::size_t>(2 * width + 3)] = std::nan("");
      DeviceArray sum(type, x), weights(type, weight), d_out(type, x), out(type, 6 * width),
          d_x(type, 6 * width), inverse(ElementType::kFloat32, 6),
          d_weight(ElementType::kFloat32, width);
      const RmsNormShape shape{6, width, type};
      cuda::rms_norm_forward({shape, sum.data(), nullptr, weights.data(), 1e-5F, nullptr,
                              out.data(), inverse.floats()},
                             nullptr);
      DeviceArray workspace(
          ElementType::kFloat32,
          static_cast<std::int64_t>(cuda::rms_norm_backward_workspace_bytes(shape) / 4));
      cuda::rms_norm_backward({shape, sum.data(), weights.data(), inverse.floats(), d_out.data(),
                               nullptr, d_x.data(), d_weight.floats(), workspace.data()},
                              nullptr);
      for (const auto* array : {&out, &d_x}) {
        const Values values = array->values();
        for (std::size_t i = 0; i < values.size(); ++i) {
          const bool of_row = static_cast<std::int64_t>(i) / width == 2;
          if (std::isfinite(values[i]) == of_row) FAIL("element " << i);
        }
      }
      CHECK(!std::isfinite(d_weight.values()[0]));
    }
  }
}

TEST_CASE("CUDA RMSNorm refuses what it cannot do") {
  float x[8] = {};
  const auto refused = [&](auto change) {
    RmsNormForward a{{2, 4, ElementType::kFloat32}, x, nullptr, x, 0.0F, nullptr, x, nullptr};
    change(a);
    CHECK_THROWS_AS(cuda::rms_norm_forward(a, nullptr), std::invalid_argument);
  };
  refused([](auto& a) { a.shape.rows = -1; });
  refused([](auto& a) { a.shape.width = 0; });
  refused([](auto& a) { a.shape.rows = std::int64_t{1} << 31; });
  refused([](auto& a) { a.shape.width = std::int64_t{1} << 30; });
  refused([](auto& a) { a.weight = nullptr; });
  refused([&](auto& a) { a.added = x; });  // no sum
  RmsNormBackward backward{{2, 4, ElementType::kFloat32}, x, x, x, x, nullptr, x, x, nullptr};
  CHECK_THROWS_AS(cuda::rms_norm_backward(backward, nullptr), std::invalid_argument);
}

}  // namespace
}  // namespace zebra::kernels::testing
