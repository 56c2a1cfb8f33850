// What ThreadSanitizer must see in kernels, and must not see. For a build with -fsanitize=thread;
// the reports that it prints are expected.

#include "emulation/kernel_support.h"
#include "support/catch.h"

#ifdef ZEBRA_THREAD_SANITIZER

namespace zebra::kernels::testing {
namespace {

struct RaceParameters {
  const std::uint32_t* source;  // [64, 4]
  std::uint32_t* out;           // [64]
};

bool has_race(void (*kernel)(RaceParameters), Fault fault = {}, device::Grid grid = {}) {
  bool is_seen = false;
  alignas(16) const std::uint32_t source[256] = {};
  for (const auto policy : kPolicies)
    for (const std::uint64_t seed : {0, 1, 2}) {
      const Conditions conditions({seed, policy}, fault);
      alignas(16) std::uint32_t out[64];
      const std::string error = error_of(kernel, 64, 2048, RaceParameters{source, out}, grid);
      REQUIRE((error == "" || error == "data race"));
      const bool is_race = error != "";
      if (policy == kPolicies[0] && seed == 0) is_seen = is_race;
      CHECK(is_race == is_seen);  // does not depend on the schedule
    }
  return is_seen;
}

std::uint32_t* words() { return reinterpret_cast<std::uint32_t*>(device::shared_memory()); }

ZEBRA_KERNEL(64, 1) store_kernel(ZEBRA_PARAMETER RaceParameters p) {
  const int thread = device::thread_index();
  words()[thread] = 1;
  device::block_barrier();
  p.out[thread] = words()[63 - thread];
  device::block_barrier();
  words()[thread] = 2;
}

TEST_CASE("a block barrier orders stores and loads; without it they race") {
  CHECK_FALSE(has_race(store_kernel));
  CHECK(has_race(store_kernel, {Fault::Kind::kSkipBlockBarrier, 0}));
  CHECK(has_race(store_kernel, {Fault::Kind::kSkipBlockBarrier, 1}));
}

/// Two neighbours meet, race, and meet twice more.
template <void (*kMeet)(emulation::Place), void (*kMeetAgain)(emulation::Place)>
ZEBRA_KERNEL(64, 1)
meeting_kernel(ZEBRA_PARAMETER RaceParameters p) {
  const int thread = device::thread_index();
  const auto here = emulation::Place::current();
  kMeet(here);
  if (thread == 0) words()[0] = 1;
  if (thread == 1) p.out[0] = words()[0];
  kMeetAgain(here);
  kMeetAgain(here);
}

void shuffle(emulation::Place place) { device::shuffle_xor(1, 1, place); }

TEST_CASE("nothing that comes after a meeting is ordered by it") {
  using device::block_barrier, device::warp_barrier;
  CHECK(has_race(meeting_kernel<block_barrier, block_barrier>));
  CHECK(has_race(meeting_kernel<warp_barrier, warp_barrier>));
  CHECK(has_race(meeting_kernel<shuffle, warp_barrier>));
}

template <int kPartner>
ZEBRA_KERNEL(64, 1)
warp_kernel(ZEBRA_PARAMETER RaceParameters p) {
  const int thread = device::thread_index();
  words()[thread] = 1;
  device::warp_barrier();
  p.out[thread] = words()[thread ^ kPartner];
}

TEST_CASE("a warp barrier orders a warp alone") {
  CHECK_FALSE(has_race(warp_kernel<31>));
  CHECK(has_race(warp_kernel<31>, {Fault::Kind::kSkipWarpBarrier}));
  CHECK(has_race(warp_kernel<32>));
}

ZEBRA_KERNEL(64, 1) unordered_kernel(ZEBRA_PARAMETER RaceParameters p) {
  const int thread = device::thread_index();
  std::uint32_t m[4] = {};
  float c[4] = {};
  words()[thread] = 1;
  device::shuffle_xor(1, 1);
  device::multiply_add(c, m, 0, 0);
  p.out[thread] = words()[thread ^ 1];
}

TEST_CASE("warp-wide operations other than barriers order nothing") {
  CHECK(has_race(unordered_kernel));
}

ZEBRA_KERNEL(64, 1) matrix_kernel(ZEBRA_PARAMETER RaceParameters p) {
  const int thread = device::thread_index();
  std::uint32_t m[4];
  device::store_words(words() + 4 * thread, device::Words{});
  device::block_barrier();
  device::load_matrices(m, words() + 4 * (thread ^ 32));
  device::block_barrier();
  device::store_words(words() + 4 * thread, device::Words{});
  p.out[thread] = m[0];
}

TEST_CASE("load_matrices reads the row that its lane names") {
  CHECK_FALSE(has_race(matrix_kernel));
  CHECK(has_race(matrix_kernel, {Fault::Kind::kSkipBlockBarrier, 0}));
  CHECK(has_race(matrix_kernel, {Fault::Kind::kSkipBlockBarrier, 1}));
}

/// A ring of two stages.
ZEBRA_KERNEL(64, 1) ring_kernel(ZEBRA_PARAMETER RaceParameters p) {
  using namespace device;
  const int thread = thread_index();
  const auto fetch = [&](int stage) {
    copy_async(words() + 256 * stage + 4 * thread, p.source + 4 * thread, true);
    commit_copies();
  };
  std::uint32_t sum = 0;
  fetch(0);
  for (int round = 0; round < 4; ++round) {
    wait_copies<0>();
    block_barrier();
    fetch((round + 1) % 2);
    sum += load_words(words() + 256 * (round % 2) + 4 * (thread ^ 32)).w[0];
  }
  wait_copies<0>();
  p.out[thread] = sum;
}

TEST_CASE("copies are seen by others after a wait and a barrier") {
  CHECK_FALSE(has_race(ring_kernel));
  CHECK(has_race(ring_kernel, {Fault::Kind::kSkipBlockBarrier}));
  CHECK(has_race(ring_kernel, {Fault::Kind::kWeakWait, 0}));
}

/// Overwrites too early what others read, but waits for the copy after a barrier.
ZEBRA_KERNEL(64, 1) early_copy_kernel(ZEBRA_PARAMETER RaceParameters p) {
  using namespace device;
  const int thread = thread_index();
  words()[4 * thread] = 1;
  block_barrier();
  copy_async(words() + 4 * thread, p.source, true);
  commit_copies();
  p.out[thread] = words()[4 * (thread ^ 32)];
  block_barrier();
  wait_copies<0>();
}

TEST_CASE("a copy may write as soon as it is issued") { CHECK(has_race(early_copy_kernel)); }

/// Thread 63 overwrites the source of a copy.
template <bool kAwaited>
ZEBRA_KERNEL(64, 1)
source_kernel(ZEBRA_PARAMETER RaceParameters p) {
  using namespace device;
  const int thread = thread_index();
  copy_async(words() + 4 * thread, p.out, thread == 0);
  commit_copies();
  if (kAwaited) wait_copies<0>();
  block_barrier();
  if (thread == 63) p.out[0] = 1;
  wait_copies<0>();
}

TEST_CASE("a copy reads its source until the wait") {
  CHECK_FALSE(has_race(source_kernel<true>));
  CHECK(has_race(source_kernel<false>));
}

/// Blocks of even y write before their barrier, the others after it.
ZEBRA_KERNEL(64, 1) ordered_blocks_kernel(ZEBRA_PARAMETER RaceParameters p) {
  const int thread = device::thread_index();
  words()[thread] = 1;
  if (device::block_index_y() % 2 == 0) p.out[thread] = 1;
  device::block_barrier();
  if (device::block_index_y() % 2 == 1) p.out[thread] = words()[63 - thread];
}

TEST_CASE("blocks share no shared memory, but global memory") {
  CHECK_FALSE(has_race(ordered_blocks_kernel));
  CHECK(has_race(ordered_blocks_kernel, {}, {1, 2, 1}));
}

}  // namespace
}  // namespace zebra::kernels::testing

#endif
