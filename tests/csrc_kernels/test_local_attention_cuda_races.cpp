// For the build with -fsanitize=thread, where `launch` throws on a data race. The reports that it
// prints about deliberate faults are expected.

#include "csrc_kernels/cuda_cases.h"
#include "emulation/kernel_support.h"
#include "support/catch.h"

namespace zebra::kernels::testing {
namespace {

/// Every head size and both types, short enough for a sanitizer that is forty times slower.
const Case kCases[] = {
    {127, 40, 32, 1, 2, 1, Rotary::kShared, true, ElementType::kBfloat16},
    {128, 64, 64, 1, 2, 1, Rotary::kShared, false, ElementType::kBfloat16},
    {100, 512, 96, 1, 1, 1, Rotary::kPerSequence, true, ElementType::kBfloat16},
    {128, 63, 128, 1, 2, 1, Rotary::kNone, false, ElementType::kBfloat16},
    {65, 20, 32, 1, 2, 1, Rotary::kShared, true, ElementType::kFloat32},
    {100, 33, 64, 1, 1, 1, Rotary::kShared, false, ElementType::kFloat32},
};

/// What a launch throws; empty if nothing.
std::string error_of_case(const Case& c, const Conditions&) {
  Run<> run(c, make_inputs(c, 3));
  try {
    run.with(CudaKernels());
  } catch (const std::logic_error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("CUDA kernels have no data race") {
  for (const auto& c : kCases)
    for (const std::uint64_t seed : {0, 1, 2}) {
      INFO(c.text() << " seed " << seed);
      CHECK(error_of_case(c, Conditions({seed, kPolicies[seed]})) == "");
    }
}

/// Faults of the kind at each call in the source, one after another: how many there are, and which
/// go unnoticed.
struct Sites {
  int count = 0;
  std::vector<int> unnoticed;
};

Sites try_sites(Fault::Kind kind) {
  Sites sites;
  const Case c{128, 40, 128, 1, 2, 1, Rotary::kShared, false, ElementType::kBfloat16};
  for (;; ++sites.count) {
    emulation::take_counts();
    const auto error = error_of_case(c, Conditions({0, kPolicies[0]}, {kind, sites.count}));
    if (emulation::take_counts().faults == 0) return sites;
    if (error.empty()) sites.unnoticed.push_back(sites.count);
  }
}

TEST_CASE(
    "every barrier between threads and every wait for a copy is needed, and missed when it is "
    "gone") {
  for (const auto kind : {Fault::Kind::kSkipBlockBarrier, Fault::Kind::kSkipWait}) {
    INFO(static_cast<int>(kind));
    const auto sites = try_sites(kind);
    CHECK(sites.count > 3);
    CHECK(sites.unnoticed == std::vector<int>());
  }
}

}  // namespace
}  // namespace zebra::kernels::testing
