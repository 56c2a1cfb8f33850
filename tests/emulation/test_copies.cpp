#include <cmath>
#include <set>

#include "emulation/kernel_support.h"
#include "support/catch.h"

namespace zebra::kernels::testing {
namespace {

using Catch::Matchers::Contains;

struct CopyParameters {
  float* source;  // [32, 4]
  float* seen;    // [moments, 32]
  bool present;
};

/// What thread `t` finds in its 16 bytes of shared memory.
float found(int thread) {
  float value;
  std::memcpy(&value, device::shared_memory() + 16 * thread, sizeof value);
  return value;
}

/// Each thread copies four numbers, changes them, and looks before and after its wait.
ZEBRA_KERNEL(32, 1) one_copy_kernel(ZEBRA_PARAMETER CopyParameters p) {
  using namespace device;
  const int t = thread_index();
  store_words(shared_memory() + 16 * t, Words{});
  copy_async(shared_memory() + 16 * t, p.source + 4 * t, p.present);
  commit_copies();
  for (int i = 0; i < 10; ++i) warp_barrier();
  p.seen[t] = found(t);
  p.source[4 * t] = 2;
  wait_copies<0>();
  p.seen[32 + t] = found(t);
}

struct OneCopy {
  std::vector<float> source, seen;

  explicit OneCopy(Schedule schedule) : source(128, 1), seen(64) {
    const Conditions conditions(schedule);
    run(one_copy_kernel, 32, 512, CopyParameters{source.data(), seen.data(), true});
  }
  float before(int thread) const { return seen[static_cast<std::size_t>(thread)]; }
  float after(int thread) const { return seen[static_cast<std::size_t>(32 + thread)]; }
};

TEST_CASE("a late copy is made by the wait, from what the source holds then") {
  const OneCopy copy({0, Schedule::Copies::kLate});
  for (int t = 0; t < 32; ++t) {
    CHECK(std::isnan(copy.before(t)));
    CHECK(copy.after(t) == 2);
  }
}

TEST_CASE("an early copy is made at once") {
  const OneCopy copy({0, Schedule::Copies::kEarly});
  for (int t = 0; t < 32; ++t) {
    CHECK(copy.before(t) == 1);
    CHECK(copy.after(t) == 1);
  }
}

TEST_CASE("a random copy is made at some moment up to the wait") {
  int late = 0;
  std::set<std::vector<float>> outcomes;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const OneCopy copy({seed, Schedule::Copies::kRandom});
    for (int t = 0; t < 32; ++t) {
      late += std::isnan(copy.before(t));
      CHECK(copy.after(t) == (std::isnan(copy.before(t)) ? 2 : 1));
    }
    outcomes.insert({copy.seen.begin() + 32, copy.seen.end()});
  }
  CHECK(late > 0);
  CHECK(late < 20 * 32);
  CHECK(outcomes.size() > 5);
}

ZEBRA_KERNEL(32, 1) absent_copy_kernel(ZEBRA_PARAMETER CopyParameters p) {
  using namespace device;
  const int t = thread_index();
  copy_async(shared_memory() + 16 * t, p.source, p.present);
  commit_copies();
  wait_copies<0>();
  p.seen[t] = found(t);
}

TEST_CASE("an absent copy writes zeros and reads nothing") {
  for (const auto policy : kPolicies) {
    const Conditions conditions({0, policy});
    std::vector<float> seen(32, 7);
    auto* const no_memory = reinterpret_cast<float*>(16);
    run(absent_copy_kernel, 32, 512, CopyParameters{no_memory, seen.data(), false});
    CHECK(seen == std::vector<float>(32, 0));
  }
}

struct GroupParameters {
  const float* source;  // [4, 4]
  int* arrived;         // [moments, copies]
};

/// Thread 0 makes one copy in each of its first two groups, none in the third, two in the fourth.
ZEBRA_KERNEL(32, 1) groups_kernel(ZEBRA_PARAMETER GroupParameters p) {
  using namespace device;
  if (thread_index() != 0) return;
  const auto copy = [&](int i) { copy_async(shared_memory() + 16 * i, p.source + 4 * i, true); };
  int* arrived = p.arrived;
  const auto look = [&] {
    for (int i = 0; i < 4; ++i) *arrived++ = found(i) == p.source[4 * i];
  };
  copy(0);
  commit_copies();
  copy(1);
  commit_copies();
  commit_copies();
  copy(2);
  copy(3);
  look();
  wait_copies<2>();
  look();
  commit_copies();
  wait_copies<2>();
  look();
  wait_copies<1>();
  look();
  wait_copies<0>();
  look();
}

std::vector<int> arrivals(Fault fault = {}) {
  const Conditions conditions({}, fault);
  const std::vector<float> source(16, 5);
  std::vector<int> arrived(20);
  run(groups_kernel, 32, 64, GroupParameters{source.data(), arrived.data()});
  return arrived;
}

TEST_CASE("a wait is for all groups but the newest ones") {
  CHECK(arrivals() == std::vector{0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1});
}

TEST_CASE("faults of waits and commits") {
  using Kind = Fault::Kind;
  emulation::take_counts();
  CHECK(arrivals({Kind::kWeakWait, 0}) ==
        std::vector{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1});
  CHECK(arrivals({Kind::kSkipWait, 1}) ==
        std::vector{0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1});
  CHECK(arrivals({Kind::kDropCommit, 2}) ==
        std::vector{0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1});
  CHECK(emulation::take_counts().faults == 3);
  CHECK(arrivals({Kind::kSkipWait, 4}) == arrivals());
  CHECK(emulation::take_counts().faults == 0);
  // The last wait, or a commit that no later one makes up for.
  for (const Fault fault : {Fault{Kind::kSkipWait, 3}, Fault{Kind::kWeakWait, 3},
                            Fault{Kind::kDropCommit, 3}, Fault{Kind::kSkipWait}}) {
    const Conditions conditions({}, fault);
    const std::vector<float> source(16, 5);
    std::vector<int> arrived(20);
    const auto error =
        error_of(groups_kernel, 32, 64, GroupParameters{source.data(), arrived.data()});
    CHECK_THAT(error, Contains("ends without waiting for the copy"));
    CHECK_THAT(error, Contains("copy_async at test_copies.cpp:"));
  }
}

}  // namespace
}  // namespace zebra::kernels::testing
