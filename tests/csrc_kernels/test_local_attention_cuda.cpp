#include "zebra_kernels/local_attention_cuda.h"

#include <iterator>
#include <memory>
#include <stdexcept>

#include "csrc_kernels/cuda_cases.h"
#include "emulated_device.h"
#include "emulation/sanitizer.h"
#include "support/catch.h"

// The CUDA kernels' own source, run by tests/emulation on the CPU.

namespace zebra::kernels::testing {
namespace {

using emulation::Conditions;
using emulation::Fault;
using emulation::Schedule;

constexpr Schedule kSchedules[] = {
    {0, Schedule::Copies::kLate}, {1, Schedule::Copies::kEarly}, {2, Schedule::Copies::kRandom}};

/// How many of them a case is run on. AddressSanitizer is three times slower: with it (the plain
/// build, of --long, runs all) short cases have two, and of long ones each has another one.
constexpr std::size_t schedules_of([[maybe_unused]] const Case& c) {
#ifdef ZEBRA_ADDRESS_SANITIZER
  return c.length <= 127 ? 2 : 1;
#else
  return std::size(kSchedules);
#endif
}

TEST_CASE("emulated CUDA kernels are as exact as their definition, whatever the schedule") {
  std::size_t next = 0;
  for (const auto& c : cuda_cases(ZEBRA_CUDA_CASES)) {
    const Expected expected(c);
    std::unique_ptr<Run<>> first;
    for (std::size_t i = 0; i < schedules_of(c); ++i) {
      const auto& schedule = kSchedules[next++ % std::size(kSchedules)];
      INFO("schedule " << schedule.seed);
      const Conditions conditions(schedule);
      auto run = std::make_unique<Run<>>(c, expected.in);
      run->with(CudaKernels());
      CHECK(errors_of(*run, expected) == "");
      if (first == nullptr)
        first = std::move(run);
      else
        CHECK(run->same_bits(*first));
    }
  }
}

// Some half an hour; hidden unless asked for: scripts/test.sh --long.
TEST_CASE("emulated CUDA kernels: the full product", "[.long]") {
  std::uint64_t seed = 0;
  for (const std::int64_t length : {1, 2, 17, 63, 64, 65, 127, 200, 513, 1000}) {
    for (const std::int64_t window : {0, 1, 15, 16, 63, 64, 100, 512, 1000}) {
      for (const std::int64_t head_size : {32, 64, 96, 128}) {
        for (const std::int64_t group : {1, 4, 8}) {
          for (const bool documents : {false, true}) {
            for (const auto type : {ElementType::kBfloat16, ElementType::kFloat32}) {
              // One or two tokens are one sample of a rounding error: eight sequences make the
              // largest errors of kernel and naive form comparable.
              const std::int64_t batch = length <= 2 ? 8 : 1;
              const Case c{length, window,          head_size, 1,   group,
                           batch,  Rotary::kShared, documents, type};
              const Expected expected(c);
              const Conditions conditions({seed, static_cast<Schedule::Copies>(seed / 3 % 3)});
              Run<> run(c, expected.in);
              run.with(CudaKernels());
              CHECK(errors_of(run, expected) == "");
              ++seed;
            }
          }
        }
      }
    }
    WARN("length " << length << " done");
  }
}

TEST_CASE("in emulated CUDA kernels a non-finite row reaches only what may see it") {
  for (const std::int64_t head_size : {64, 128}) {
    INFO(head_size);
    CHECK(strays_of_non_finite_rows<HostMemory>(CudaKernels(), head_size, ElementType::kBfloat16,
                                                128) == "");
  }
  CHECK(strays_of_non_finite_rows<HostMemory>(CudaKernels(), 32, ElementType::kFloat32, 128) == "");
}

TEST_CASE("CUDA local attention refuses what it cannot do") {
  const Case c{40, 3, 32, 1, 2, 1, Rotary::kShared, false, ElementType::kBfloat16};
  Run<> run(c, make_inputs(c, 1));
  const Scratch<HostMemory> saved(cuda::local_attention_saved_bytes(run.shape));
  const auto refuse = [&](auto change) {
    auto arguments = run.forward_arguments();
    change(arguments);
    CHECK_THROWS_AS(cuda::local_attention_forward(arguments, saved.data(), nullptr),
                    std::invalid_argument);
  };
  refuse([](auto& a) { a.inputs.shape.window = -1; });
  refuse([](auto& a) { a.inputs.shape.head_size = 48; });
  refuse([](auto& a) { a.inputs.shape.key_heads = 3; });
  refuse([](auto& a) { a.inputs.shape.length = std::int64_t{1} << 30; });
  refuse([](auto& a) { a.inputs.k.data = nullptr; });
  refuse([](auto& a) { a.out.data = nullptr; });
  refuse([](auto& a) { a.inputs.rotary.sin = nullptr; });
  refuse([](auto& a) { a.inputs.q.token_stride += 4; });
  refuse([](auto& a) { a.inputs.v.data = static_cast<const char*>(a.inputs.v.data) + 2; });
  refuse([](auto& a) { a.inputs.rotary.token_stride = 18; });
  CHECK_THROWS_AS(cuda::local_attention_forward(run.forward_arguments(), nullptr, nullptr),
                  std::invalid_argument);
  auto backward = run.backward_arguments();
  CHECK_THROWS_AS(cuda::local_attention_backward(backward, saved.data(), nullptr),
                  std::invalid_argument);  // no workspace
  CHECK(cuda::local_attention_saved_bytes({0, 0, 1, 1, 64, 1, ElementType::kBfloat16}) == 0);
}

/// Whether some schedule shows that the fault is there.
bool is_caught(const Expected& expected, const Case& c, const Fault& fault) {
  for (std::uint64_t seed = 0; seed < 9; ++seed) {
    const Conditions conditions({seed, static_cast<Schedule::Copies>(seed / 3 % 3)}, fault);
    Run<> run(c, expected.in);
    try {
      run.with(CudaKernels());
    } catch (const std::logic_error&) {
      return true;
    }
    if (!errors_of(run, expected).empty()) return true;
  }
  return false;
}

TEST_CASE("deliberate faults in CUDA kernels are caught") {
  const Case c{200, 70, 64, 1, 2, 1, Rotary::kShared, true, ElementType::kBfloat16};
  const Expected expected(c);
  CHECK(!is_caught(expected, c, {}));
  for (const auto kind :
       {Fault::Kind::kSkipBlockBarrier, Fault::Kind::kSkipWait, Fault::Kind::kWeakWait,
        Fault::Kind::kDropCommit, Fault::Kind::kSwapA, Fault::Kind::kSwapB}) {
    INFO(static_cast<int>(kind));
    CHECK(is_caught(expected, c, {kind, Fault::kEverySite}));
  }
  const Case whole{200, 70, 64, 1, 2, 1, Rotary::kShared, false, ElementType::kBfloat16};
  const Expected of_whole(whole);
  for (const std::int64_t off : {-1, 1}) {
    Case shifted = whole;
    shifted.window += off;
    Run<> run(shifted, of_whole.in);
    run.with(CudaKernels());
    CHECK(errors_of(run, of_whole) != "");
  }
}

}  // namespace
}  // namespace zebra::kernels::testing
