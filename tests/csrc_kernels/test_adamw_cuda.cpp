#include "csrc_kernels/row_cases_cuda.h"
#include "support/catch.h"
#include "zebra_kernels/row_kernels_cuda.h"

// The CUDA kernels' own source, run by tests/emulation on the CPU.

namespace zebra::kernels::testing {
namespace {

std::string run_adamw(const AdamwInputs& in, std::int64_t offset, bool rounds, std::string* bits) {
  const auto exact = adamw_reference<double>(in), naive = adamw_reference<float>(in);
  DeviceArray gradients(ElementType::kFloat32, in.gradients, offset),
      weights(ElementType::kFloat32, in.weights, offset),
      first(ElementType::kFloat32, in.first_moments, offset),
      second(ElementType::kFloat32, in.second_moments, offset),
      rounded_weights(ElementType::kBfloat16, in.size, offset);
  cuda::adamw_update({in.size, in.decayed_size, gradients.floats(), weights.floats(),
                      first.floats(), second.floats(), rounds ? rounded_weights.data() : nullptr,
                      in.lr, in.beta1, in.beta2, in.eps, in.weight_decay, &in.step},
                     nullptr);
  std::string errors;
  if (rounds) {
    Values expected;
    for (const double x : weights.values()) expected.push_back(rounded(x, ElementType::kBfloat16));
    if (rounded_weights.values() != expected) errors += "rounded is not the rounded weights; ";
  }
  if (!rounded_weights.guards_untouched()) errors += "wrote outside of rounded; ";
  *bits = weights.bits() + first.bits() + second.bits() + rounded_weights.bits();
  return errors + errors_of("weights", weights, naive.weights, exact.weights, in.size) +
         errors_of("first moments", first, naive.first_moments, exact.first_moments, in.size) +
         errors_of("second moments", second, naive.second_moments, exact.second_moments, in.size);
}

TEST_CASE("emulated AdamW is as exact as its definition, whatever the schedule") {
  struct {
    std::int64_t size, decayed, offset;
    bool rounds;
  } const cases[] = {
      {1, 0, 0, true},        {7, 3, 0, true},       {8, 8, 0, true},      {64, 12, 0, true},
      {2048, 2048, 0, false}, {2049, 1025, 0, true}, {5003, 999, 1, true}, {4100, 4096, 2, true},
      {3000, 64, 4, true}};  // the last: rounded is not aligned, all others are
  for (const auto& c : cases) {
    INFO("size " << c.size << " decayed " << c.decayed << " offset " << c.offset);
    const AdamwInputs in(c.size, c.decayed, 5);
    CHECK(same_bits_on_every_schedule([&] {
      std::string bits;
      CHECK(run_adamw(in, c.offset, c.rounds, &bits) == "");
      return bits;
    }));
  }
}

TEST_CASE("emulated AdamW keeps second moments that are subnormal") {
  AdamwInputs in(500, 100, 5);
  in.eps = 1e-22F;
  in.lr = 1e-3F;
  for (auto* values : {&in.gradients, &in.first_moments})
    for (auto& x : *values) x = rounded(x * 1e-19, ElementType::kFloat32);
  for (auto& x : in.second_moments) x = rounded(x * 1e-38, ElementType::kFloat32);
  std::string bits;
  CHECK(run_adamw(in, 0, true, &bits) == "");
}

TEST_CASE("emulated AdamW writes nothing when the step is skipped") {
  for (const std::int64_t size : {5, 4096}) {
    DeviceArray gradients(ElementType::kFloat32, size), weights(ElementType::kFloat32, size),
        first(ElementType::kFloat32, size), second(ElementType::kFloat32, size),
        rounded_weights(ElementType::kBfloat16, size);
    const AdamwStep step{1, 1, 1, 0};
    const auto bits = [&] {
      return weights.bits() + first.bits() + second.bits() + rounded_weights.bits();
    };
    const auto before = bits();
    cuda::adamw_update({size, size, gradients.floats(), weights.floats(), first.floats(),
                        second.floats(), rounded_weights.data(), 1, 0, 0, 1, 1, &step},
                       nullptr);
    const bool same = bits() == before;
    CHECK(same);
  }
}

TEST_CASE("CUDA AdamW refuses what it cannot do") {
  float x[8] = {};
  const AdamwStep step;
  const auto refused = [&](auto change) {
    AdamwUpdate a{8, 4, x, x, x, x, nullptr, 1, 0, 0, 1, 1, &step};
    change(a);
    CHECK_THROWS_AS(cuda::adamw_update(a, nullptr), std::invalid_argument);
  };
  refused([](auto& a) { a.size = -1; });
  refused([](auto& a) { a.decayed_size = 9; });
  refused([](auto& a) { a.size = std::int64_t{1} << 42; });
  refused([](auto& a) { a.step = nullptr; });
  refused([](auto& a) { a.second_moments = nullptr; });
  cuda::adamw_update({0, 0, nullptr, nullptr, nullptr, nullptr, nullptr, 1, 0, 0, 1, 1, &step},
                     nullptr);
}

}  // namespace
}  // namespace zebra::kernels::testing
