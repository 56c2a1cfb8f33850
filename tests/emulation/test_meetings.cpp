#include "emulation/kernel_support.h"
#include "support/catch.h"

namespace zebra::kernels::testing {
namespace {

using Catch::Matchers::Contains;

enum class Mistake {
  kNone,
  kLaneFinished,
  kTwoOperations,
  kTwoPlaces,
  kLaneInBarrier,
  kThreadsFinished,
  kTwoBarriers,
  kMaskOfZero,
  kMaskOf32,
  kTwoMasks,
  kTargetMisaligned,
  kSourceMisaligned,
  kTargetOutside,
  kTargetBefore,
  kRowMisaligned,
  kRowOutside,
  kWordsMisaligned,
  kCopyUnawaited,
  kCopyUncommitted,
  kOwnException,
};

struct MistakeParameters {
  Mistake mistake;
  const std::uint32_t* source;  // [8], aligned to 16 bytes
};

constexpr int kSharedBytes = 2048 + 8;

// In a macro, two operations are at one place of the source.
#define SHUFFLE_OR_BARRIER(barrier) ((barrier) ? warp_barrier() : (void)shuffle_xor(1, 1))

/// 128 threads. Correct, but for one mistake: by thread 35 in most cases.
ZEBRA_KERNEL(128, 1) mistaken_kernel(ZEBRA_PARAMETER MistakeParameters p) {
  using namespace device;
  const int thread = thread_index();
  const bool odd_one = thread == 35;
  std::byte* const own = shared_memory() + 16 * thread;
  std::uint32_t m[4];
  float c[4] = {};
  const auto makes = [&](Mistake mistake) { return p.mistake == mistake && odd_one; };

  if (makes(Mistake::kLaneFinished)) return;
  if (makes(Mistake::kTwoPlaces)) shuffle_xor(1, 1);
  if (makes(Mistake::kLaneInBarrier)) block_barrier();
  SHUFFLE_OR_BARRIER(makes(Mistake::kTwoOperations));

  if (p.mistake == Mistake::kThreadsFinished && thread >= 96) return;
  if (p.mistake == Mistake::kTwoBarriers && thread >= 96) block_barrier();
  block_barrier();

  if (makes(Mistake::kMaskOfZero)) shuffle_xor(1.0F, 0);
  if (makes(Mistake::kMaskOf32)) shuffle_xor(1, 32);
  shuffle_xor(1, makes(Mistake::kTwoMasks) ? 4 : 2);

  if (makes(Mistake::kTargetMisaligned)) copy_async(own + 4, p.source, true);
  if (makes(Mistake::kSourceMisaligned)) copy_async(own, p.source + 1, true);
  if (makes(Mistake::kTargetOutside)) copy_async(shared_memory() + 4096, p.source, true);
  if (makes(Mistake::kTargetBefore)) copy_async(shared_memory() - 16, p.source, true);
  copy_async(own, p.source, true);
  commit_copies();
  if (!makes(Mistake::kCopyUnawaited)) wait_copies<0>();
  if (makes(Mistake::kCopyUncommitted)) copy_async(own, p.source, true);
  block_barrier();

  if (makes(Mistake::kWordsMisaligned)) store_words(own + 8, load_words(own));
  store_words(own, load_words(own));
  warp_barrier();
  const std::byte* row = own;
  if (makes(Mistake::kRowMisaligned)) row += 8;
  if (makes(Mistake::kRowOutside)) row = shared_memory() + 2048;  // half inside
  load_matrices_transposed(m, row);
  load_matrices(m, row);
  if (makes(Mistake::kOwnException)) throw std::logic_error("the kernel's own");
  multiply_add(c, m, m[0], m[1]);
}

std::string error_after(Mistake mistake) {
  alignas(16) const std::uint32_t source[8] = {};
  return error_of(mistaken_kernel, 128, kSharedBytes, MistakeParameters{mistake, source});
}

TEST_CASE("a kernel without mistakes runs in every order") {
  for (std::uint64_t seed = 0; seed < 12; ++seed)
    for (const auto policy : kPolicies) {
      const Conditions conditions({seed, policy});
      CHECK(error_after(Mistake::kNone) == "");
    }
}

struct Finding {
  Mistake mistake;
  std::vector<const char*> parts;  // of the message
};

TEST_CASE("every mistake is found in every order, and the next launch runs") {
  const Finding findings[] = {
      {Mistake::kLaneFinished,
       {"wait for ever", "block (0, 0, 0)", "warp 1: lanes 0-2, 4-31 in shuffle_xor at",
        "lanes 3 finished"}},
      {Mistake::kTwoOperations,
       {"do not meet", "lanes 0-2, 4-31 in shuffle_xor at test_meetings.cpp:",
        "lanes 3 in warp_barrier at test_meetings.cpp:"}},
      {Mistake::kTwoPlaces, {"do not meet", "lanes 3 in shuffle_xor at", "lanes 0-2, 4-31 in"}},
      {Mistake::kLaneInBarrier, {"wait for ever", "lanes 3 in block_barrier at", "in shuffle_xor"}},
      {Mistake::kThreadsFinished,
       {"wait for ever", "warp 0: lanes 0-31 in block_barrier at", "warp 3: lanes 0-31 finished"}},
      {Mistake::kTwoBarriers, {"do not meet", "warp 3: lanes 0-31 in block_barrier at"}},
      {Mistake::kMaskOfZero, {"shuffle_xor at", "thread 35 of block", "lane_mask 0 is not"}},
      {Mistake::kMaskOf32, {"shuffle_xor at", "thread 35 of block", "lane_mask 32 is not"}},
      {Mistake::kTwoMasks, {"shuffle_xor at", "different masks"}},
      {Mistake::kTargetMisaligned, {"copy_async at", "thread 35 of", "not aligned"}},
      {Mistake::kSourceMisaligned, {"copy_async at", "thread 35 of", "not aligned"}},
      {Mistake::kTargetOutside, {"copy_async at", "thread 35 of", "outside"}},
      {Mistake::kTargetBefore, {"copy_async at", "thread 35 of", "outside"}},
      {Mistake::kRowMisaligned, {"load_matrices_transposed at", "thread 35 of", "not aligned"}},
      {Mistake::kRowOutside, {"load_matrices_transposed at", "thread 35 of", "outside"}},
      {Mistake::kWordsMisaligned, {"store_words at", "thread 35 of", "not aligned"}},
      {Mistake::kCopyUnawaited, {"copy_async at", "thread 35 of", "ends without waiting"}},
      {Mistake::kCopyUncommitted, {"copy_async at", "thread 35 of", "ends without waiting"}},
      {Mistake::kOwnException, {"the kernel's own"}},
  };
  for (const auto& finding : findings)
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
      const Conditions conditions({seed, kPolicies[seed % 3]});
      const std::string error = error_after(finding.mistake);
      INFO("mistake " << static_cast<int>(finding.mistake) << ", seed " << seed);
      for (const char* part : finding.parts) CHECK_THAT(error, Contains(part));
      CHECK(error_after(Mistake::kNone) == "");
    }
}

struct NoParameters {};

ZEBRA_KERNEL(32, 1) launching_kernel(ZEBRA_PARAMETER NoParameters p) {
  if (device::thread_index() == 0) run(launching_kernel, 32, 0, p);
}

TEST_CASE("impossible launches are refused") {
  const auto launch = [](int threads, int shared_bytes, device::Grid grid) {
    const MistakeParameters p{Mistake::kNone, nullptr};
    device::launch(mistaken_kernel, grid, threads, shared_bytes, p, nullptr);
  };
  CHECK_THROWS_AS(launch(0, 0, {}), std::runtime_error);
  CHECK_THROWS_AS(launch(48, 0, {}), std::runtime_error);
  CHECK_THROWS_AS(launch(1056, 0, {}), std::runtime_error);
  CHECK_THROWS_AS(launch(32, -1, {}), std::runtime_error);
  CHECK_THROWS_AS(launch(32, (227 << 10) + 1, {}), std::runtime_error);
  CHECK_THROWS_AS(launch(32, 0, {0, 1, 1}), std::runtime_error);
  CHECK_THROWS_AS(launch(32, 0, {1, 65536, 1}), std::runtime_error);
  CHECK_THROWS_AS(run(launching_kernel, 32, 0, NoParameters{}), std::runtime_error);
}

}  // namespace
}  // namespace zebra::kernels::testing
