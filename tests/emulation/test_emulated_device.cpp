#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>

#include "emulation/kernel_support.h"
#include "support/catch.h"

namespace zebra::kernels::testing {
namespace {

struct LogParameters {
  Log* log;
  int steps;
};

/// Every thread tells its number before each of some warp-wide steps, and once more after a
/// barrier.
ZEBRA_KERNEL(64, 1) steps_kernel(ZEBRA_PARAMETER LogParameters p) {
  for (int step = 0; step < p.steps; ++step) {
    p.log->add(device::thread_index());
    device::warp_barrier();
  }
  device::block_barrier();
  p.log->add(device::thread_index());
}

std::vector<int> order(std::uint64_t seed, int threads = 64, int steps = 20) {
  const Conditions conditions({seed});
  Log log;
  run(steps_kernel, threads, 0, LogParameters{&log, steps});
  return log.events();
}

/// How often the next event is of another warp.
int changes(const std::vector<int>& order) {
  int count = 0;
  for (std::size_t i = 1; i < order.size(); ++i) count += order[i] / 32 != order[i - 1] / 32;
  return count;
}

TEST_CASE("the seed decides the order, and nothing else does") {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    CHECK(order(seed) == order(seed));
    if (seed % 3 != 2) CHECK(order(seed) != order(seed + 3));
  }
}

TEST_CASE("a random order mixes warps") { CHECK(changes(order(0)) > 200); }

TEST_CASE("one warp runs ahead to the barrier") {
  const auto events = order(1);
  CHECK(changes({events.begin(), events.begin() + 20 * 64}) == 1);
  CHECK(changes({events.begin() + 20 * 64, events.end()}) == 1);
}

TEST_CASE("the last thread goes first") {
  const auto events = order(2, 64, 1);
  for (int i = 0; i < 64; ++i) CHECK(events[static_cast<std::size_t>(i)] == 63 - i);
}

struct BlockParameters {
  int* blocks;  // [z, y, x]: how many threads have run there
  int x, y;
  bool* is_poisoned;
};

ZEBRA_KERNEL(32, 1) blocks_kernel(ZEBRA_PARAMETER BlockParameters p) {
  using namespace device;
  const int block = (block_index_z() * p.y + block_index_y()) * p.x + block_index_x();
  if (thread_index() == 0) {
    for (int offset = 0; offset < 100; offset += 4) {
      std::uint32_t word;
      std::memcpy(&word, shared_memory() + offset, sizeof word);
      if (!std::isnan(std::bit_cast<float>(word)) || !std::isnan(low_bfloat16(word)) ||
          !std::isnan(high_bfloat16(word)))
        p.is_poisoned[block] = false;
    }
  }
  warp_barrier();
  shared_memory()[thread_index()] = std::byte{1};
  for (int lane = 0; lane < 32; ++lane) {
    if (lane == thread_index()) ++p.blocks[block];
    warp_barrier();
  }
}

TEST_CASE("every block runs once, with shared memory full of NaN") {
  std::vector<int> blocks(24);
  bool is_poisoned[24];
  std::fill_n(is_poisoned, 24, true);
  run(blocks_kernel, 32, 100, BlockParameters{blocks.data(), 2, 3, is_poisoned}, {2, 3, 4});
  CHECK(blocks == std::vector(24, 32));
  CHECK(std::all_of(is_poisoned, is_poisoned + 24, [](bool poisoned) { return poisoned; }));
}

struct AccessParameters {
  int offset;
  bool write;
};

ZEBRA_KERNEL(32, 1) access_kernel(ZEBRA_PARAMETER AccessParameters p) {
  if (device::thread_index() != 5) return;
  volatile std::byte* const at = device::shared_memory() + p.offset;
  const std::byte value = *at;
  if (p.write) *at = ~value;
}

/// Whether a process dies of an access at some byte of `shared_bytes` of shared memory.
bool dies(int shared_bytes, AccessParameters access) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);  // Catch2 reports signals
    ::close(STDERR_FILENO);         // and AddressSanitizer what it finds
    run(access_kernel, 32, shared_bytes, access);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status != 0;
}

TEST_CASE("shared memory has exactly the bytes of the launch") {
  CHECK_FALSE(dies(256, {0, true}));
  CHECK_FALSE(dies(256, {255, true}));
  CHECK(dies(256, {256, false}));
  CHECK(dies(256, {-4096, false}));
  if constexpr (emulation::sanitizer::kAddress) {
    CHECK(dies(256, {-1, false}));
    CHECK(dies(200, {200, false}));
  } else {
    for (const int offset : {-1, 200}) {
      CHECK(error_of(access_kernel, 32, 200, AccessParameters{offset, true}) ==
            "block (0, 0, 0) wrote beyond its shared memory");
      CHECK(error_of(access_kernel, 32, 200, AccessParameters{199, true}) == "");
    }
  }
}

struct ExchangeParameters {
  int* out;  // [rounds, 64]
  int rounds;
};

/// Threads pass numbers on to their neighbours through shared memory, with two barriers a round.
ZEBRA_KERNEL(64, 1) exchange_kernel(ZEBRA_PARAMETER ExchangeParameters p) {
  const int thread = device::thread_index();
  auto* const shared = reinterpret_cast<int*>(device::shared_memory());
  int value = thread;
  for (int round = 0; round < p.rounds; ++round) {
    shared[thread] = value;
    device::block_barrier();
    value = shared[(thread + 1) % 64];
    device::block_barrier();
    p.out[round * 64 + thread] = value;
  }
}

/// Whether the exchange goes right, under a fault or without.
bool exchanges(std::uint64_t seed, Fault fault) {
  const Conditions conditions({seed}, fault);
  constexpr int kRounds = 3;
  std::vector<int> out(kRounds * 64);
  if (!error_of(exchange_kernel, 64, 256, ExchangeParameters{out.data(), kRounds}).empty())
    return false;
  for (int round = 0; round < kRounds; ++round)
    for (int thread = 0; thread < 64; ++thread)
      if (out[static_cast<std::size_t>(round * 64 + thread)] != (thread + round + 1) % 64)
        return false;
  return true;
}

TEST_CASE("a skipped barrier is seen in every order") {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    emulation::take_counts();
    CHECK(exchanges(seed, {}));
    CHECK(exchanges(seed, {Fault::Kind::kSkipBlockBarrier, 2}));  // there are but two
    CHECK(emulation::take_counts().faults == 0);
    for (const int site : {0, 1, Fault::kEverySite}) {
      CHECK_FALSE(exchanges(seed, {Fault::Kind::kSkipBlockBarrier, site}));
      CHECK(emulation::take_counts().faults > 0);
    }
  }
}

struct WarpExchangeParameters {
  int* out;  // [64]
};

ZEBRA_KERNEL(64, 1) warp_exchange_kernel(ZEBRA_PARAMETER WarpExchangeParameters p) {
  const int thread = device::thread_index();
  auto* const shared = reinterpret_cast<int*>(device::shared_memory());
  shared[thread] = thread;
  device::warp_barrier();
  p.out[thread] = shared[thread ^ 31];
}

TEST_CASE("a skipped warp barrier is seen in every order") {
  const auto exchanges = [](std::uint64_t seed, Fault fault) {
    const Conditions conditions({seed}, fault);
    std::vector<int> out(64), expected(64);
    for (int thread = 0; thread < 64; ++thread)
      expected[static_cast<std::size_t>(thread)] = thread ^ 31;
    const WarpExchangeParameters p{out.data()};
    return error_of(warp_exchange_kernel, 64, 256, p).empty() && out == expected;
  };
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    CHECK(exchanges(seed, {}));
    CHECK_FALSE(exchanges(seed, {Fault::Kind::kSkipWarpBarrier, 0}));
  }
}

struct CountedParameters {
  const std::uint32_t* source;
  float* out;
};

ZEBRA_KERNEL(64, 1) counted_kernel(ZEBRA_PARAMETER CountedParameters p) {
  using namespace device;
  const int thread = thread_index();
  std::uint32_t m[4];
  float c[4] = {};
  copy_async(shared_memory() + 16 * thread, p.source, thread % 2 == 0);
  commit_copies();
  wait_copies<0>();
  block_barrier();
  load_matrices(m, shared_memory() + 16 * thread);
  load_matrices_transposed(m, shared_memory() + 16 * thread);
  multiply_add(c, m, m[0], m[1]);
  warp_barrier();
  c[0] += shuffle_xor(shuffle_xor(c[0], 1), 2) + exp2(1) + log2(1) + reciprocal(1);
  p.out[block_index_x() * 64 + thread] = c[0];
}

TEST_CASE("counts are by block, warp and thread") {
  alignas(16) const std::uint32_t source[4] = {};
  std::vector<float> out(192);
  emulation::take_counts();
  run(counted_kernel, 64, 1024, CountedParameters{source, out.data()}, {3, 1, 1});
  const auto counts = emulation::take_counts();
  CHECK(counts.blocks == 3);
  CHECK(counts.block_barriers == 3);
  CHECK(counts.warp_barriers == 6);
  CHECK(counts.shuffles == 12);
  CHECK(counts.matrix_loads == 12);
  CHECK(counts.matrix_load_conflicts == 0);
  CHECK(counts.multiply_adds == 6);
  CHECK(counts.copies == 192);
  CHECK(counts.exp2s == 192);
  CHECK(counts.log2s == 192);
  CHECK(counts.reciprocals == 192);
  CHECK(counts.faults == 0);
  CHECK(emulation::take_counts().blocks == 0);
}

}  // namespace
}  // namespace zebra::kernels::testing
