#include "zebra_kernels/local_attention.h"

#include <stdexcept>

#include "cpu/vector.h"
#include "csrc_kernels/cpu_run.h"
#include "csrc_kernels/local_attention_run.h"
#include "support/catch.h"
#ifdef ZEBRA_EMULATED_TILES
#include "emulated_tiles.h"
#endif

namespace zebra::kernels::testing {
namespace {

struct CpuKernels {
  ParallelFor parallel_for;
  InstructionSet set;

  static std::size_t saved_bytes(const LocalAttentionShape&) { return 0; }
  static std::size_t workspace_bytes(const LocalAttentionShape& shape) {
    return local_attention_backward_workspace_bytes(shape);
  }
  void forward(const LocalAttentionForward& arguments, void*) const {
    local_attention_forward(arguments, parallel_for, set);
  }
  void backward(const LocalAttentionBackward& arguments, const void*) const {
    local_attention_backward(arguments, parallel_for, set);
  }
};

/// Every pair of neighbouring factors' values meets; long cases keep to small heads.
std::vector<Case> covering_cases() {
  static constexpr std::int64_t kLengths[] = {1, 2, 17, 63, 64, 65, 127, 200, 513, 1000};
  static constexpr std::int64_t kWindows[] = {0, 1, 15, 16, 63, 64, 100, 512, 1000};
  static constexpr std::int64_t kHeads[] = {2, 6, 32, 64, 96, 128, 256};
  static constexpr std::int64_t kGroups[] = {1, 4, 8};
  std::vector<Case> cases;
  for (std::size_t l = 0; l < 10; ++l) {
    for (std::size_t w = 0; w < 9; ++w) {
      // All 90 pairs of length and window, the other factors at strides prime to each other.
      const std::size_t i = 9 * l + w;
      const bool heavy = kLengths[l] >= 200 && w >= 4;
      cases.push_back({kLengths[l], kWindows[w], kHeads[(i + l) % (heavy ? 4 : 7)],
                       1 + static_cast<std::int64_t>(i % 2), kGroups[heavy ? i % 2 : i % 3],
                       1 + static_cast<std::int64_t>(i / 2 % 2), static_cast<Rotary>(i / 3 % 3),
                       (i / 5) % 2 == 0,
                       (i + l) % 2 == 0 ? ElementType::kFloat32 : ElementType::kBfloat16});
    }
  }
  // Several chunks of a sequence, with and without a remainder; every tuned head size.
  for (const std::int64_t head_size : {32, 64, 96, 128})
    for (const auto type : {ElementType::kFloat32, ElementType::kBfloat16})
      cases.push_back({700, head_size, head_size, 1, 1, 1, Rotary::kShared, false, type});
  return cases;
}

void check_all_sets(const Case& c, const Expected& expected) {
  for (const auto set : supported_sets()) {
    INFO(instruction_set_name(set));
    Run<> run(c, expected.in);
    run.with(CpuKernels{serial, set});
    CHECK(errors_of(run, expected) == "");
  }
}

TEST_CASE("local attention is as exact as its definition in the same precision") {
  for (const auto& c : covering_cases()) check_all_sets(c, Expected(c));
}

TEST_CASE("local attention is as exact where scores are large, or very different") {
  for (const auto type : {ElementType::kFloat32, ElementType::kBfloat16}) {
    for (const std::int64_t head_size : {32, 64}) {
      const Case c{260, 100, head_size, 1, 2, 1, Rotary::kNone, false, type};
      auto in = make_inputs(c, 3);
      const auto row = static_cast<std::size_t>(2 * head_size);
      // Queries from 0.06 to 30 times as large: some tiles hold both, some only small ones.
      for (std::size_t i = 0; i < in.q.size(); ++i) {
        const auto token = i / row;
        in.q[i] = std::ldexp(in.q[i], token < 70 ? -4 : static_cast<int>(token % 10) - 4);
      }
      check_all_sets(c, Expected(c, in));
    }
  }
}

TEST_CASE("local attention with sinks is as exact as its definition") {
  for (const auto type : {ElementType::kFloat32, ElementType::kBfloat16}) {
    for (const std::int64_t window : {0, 70}) {
      const Case c{200, window, 32, 2, 2, 2, Rotary::kShared, true, type};
      auto in = make_inputs(c, 4);
      in.sinks = {-3.0, 0.5, 2.0, 6.0};
      check_all_sets(c, Expected(c, in));
    }
  }
}

TEST_CASE("local attention gives the same bits again and on any number of threads") {
  for (const auto type : {ElementType::kFloat32, ElementType::kBfloat16}) {
    const Case c{900, 70, 64, 2, 2, 2, Rotary::kPerSequence, true, type};
    const auto in = make_inputs(c, 5);
    for (const auto set : supported_sets()) {
      Run<> first(c, in);
      first.with(CpuKernels{serial, set});
      for (const int count : {1, 2, 3}) {
        Run<> again(c, in);
        again.with(CpuKernels{threads(count), set});
        CHECK(again.same_bits(first));
      }
    }
  }
}

TEST_CASE("a non-finite row reaches only its batch, its head and the tiles that hold it") {
  for (const auto type : {ElementType::kFloat32, ElementType::kBfloat16}) {
    for (const auto set : supported_sets()) {
      INFO(instruction_set_name(set));
      const CpuKernels kernels{serial, set};
      CHECK(strays_of_non_finite_rows<HostMemory>(kernels, 32, type, 64) == "");
    }
  }
}

TEST_CASE("tiles serve the processors that have them, and are released") {
  if (!is_supported(InstructionSet::kAmxBf16)) {
    WARN("skipped: no AMX");
    return;
  }
  CHECK(best_instruction_set() == InstructionSet::kAmxBf16);
#ifdef ZEBRA_EMULATED_TILES
  const Case c{130, 64, 32, 1, 1, 1, Rotary::kNone, false, ElementType::kBfloat16};
  Run<> run(c, make_inputs(c, 6));
  run.with(CpuKernels{serial, InstructionSet::kAmxBf16});
  CHECK(emulated_tiles::products() > 0);
  CHECK(!emulated_tiles::are_configured());
#endif
}

template <bool kExact>
double largest_exp2_error() {
  double largest = 0;
  for (int i = 0; i <= 200000; ++i) {
    const float x = -125.0F + static_cast<float>(i) * (126.0F / 200000.0F);
    const double exact = std::exp2(static_cast<double>(x));
    const double error =
        std::abs(static_cast<double>(exp2<kExact>(broadcast(x))[kLanes - 1]) / exact - 1.0);
    if (!(error <= largest)) largest = error;
  }
  return largest;
}

TEST_CASE("the vectorised exponential is as exact as it says") {
  CHECK(largest_exp2_error<true>() <= 2e-7);
  CHECK(largest_exp2_error<false>() <= 1e-5);
  CHECK(exp2<true>(broadcast(0.0F))[0] == 1.0F);
  CHECK(exp2<false>(broadcast(0.0F))[0] == 1.0F);
  CHECK(exp2<true>(broadcast(-std::numeric_limits<float>::infinity()))[0] == 0.0F);
  CHECK(exp2<true>(broadcast(-161.0F))[0] == 0.0F);
  CHECK(std::isnan(exp2<true>(broadcast(std::nanf("")))[0]));
}

TEST_CASE("local attention refuses what it cannot do") {
  const Case c{8, 3, 4, 1, 2, 1, Rotary::kNone, true, ElementType::kFloat32};
  Run<> run(c, make_inputs(c, 1));
  const auto refuse = [&](auto change) {
    auto arguments = run.forward_arguments();
    change(arguments);
    CHECK_THROWS_AS(local_attention_forward(arguments, serial), std::invalid_argument);
  };
  refuse([](auto& a) { a.inputs.shape.window = -1; });
  refuse([](auto& a) { a.inputs.shape.head_size = 5; });
  refuse([](auto& a) { a.inputs.shape.head_size = 258; });
  refuse([](auto& a) { a.inputs.shape.query_heads = 0; });
  refuse([](auto& a) { a.inputs.shape.key_heads = 3; });
  refuse([](auto& a) { a.inputs.k.data = nullptr; });
  refuse([](auto& a) { a.out.data = nullptr; });
  refuse([&](auto& a) { a.inputs.rotary.cos = run.cos.data(); });
  run.first_token.data()[3] = 4;
  refuse([](auto&) {});
}

}  // namespace
}  // namespace zebra::kernels::testing
