// Phases of barriers in shared memory: parity, counts, bytes.

#include "answers.h"
#include "primitives.h"

namespace zebra::hopper {
namespace {

constexpr int kThreads = 128, kAnswers = 8;

struct Parameters {
  const std::uint16_t* source;  // 64 bytes at least
  int* answers;                 // [kAnswers]
};

ZEBRA_KERNEL(kThreads, 1) barrier_kernel(ZEBRA_PARAMETER Parameters p) {
  __shared__ alignas(128) std::uint16_t target[32];
  __shared__ Barrier counted, transfer;
  const int thread = kernels::device::thread_index();
  if (thread == 0) {
    barrier_init(&counted, kThreads);
    barrier_init(&transfer, 1);
    fence_barrier_init();
  }
  kernels::device::block_barrier();
  if (thread == 0) {
    p.answers[0] = try_wait(&counted, 1);
    p.answers[1] = !try_wait(&counted, 0);
  }
  kernels::device::block_barrier();
  if (thread != 0) arrive(&counted);
  kernels::device::block_barrier();
  if (thread == 0) {
    p.answers[2] = !try_wait(&counted, 0);
    arrive(&counted);
    p.answers[3] = wait(&counted, 0);
    p.answers[4] = !try_wait(&counted, 1);
    arrive_expect(&transfer, 64);
    p.answers[5] = !try_wait(&transfer, 0);
    load_bytes(target, p.source, 64, &transfer);
    p.answers[6] = wait(&transfer, 0);
    bool same = true;
    for (int i = 0; i < 32; ++i) same = same && target[i] == p.source[i];
    p.answers[7] = same;
  }
}

}  // namespace

void ask_barriers() {
  const DeviceArray<std::uint16_t> source(as_bfloat16(small_numbers(32, 1)));
  const DeviceArray<int> answers(std::vector<int>(kAnswers, 0));
  kernels::device::launch(barrier_kernel, {}, kThreads, 0,
                          Parameters{source.data(), answers.data()}, nullptr);
  const char* const questions[kAnswers] = {
      "the phase before a new barrier's first is complete (parity 1)",
      "a new barrier's first phase is not (parity 0)",
      "one arrival less than the count completes nothing",
      "the last arrival completes the phase",
      "and begins the next one",
      "a phase waits for the bytes that it was told of",
      "bytes that arrive complete it",
      "a bulk copy without a tensor map brings its bytes"};
  const auto values = answers.values();
  for (int i = 0; i < kAnswers; ++i) answer(questions[i], values[static_cast<std::size_t>(i)] == 1);
}

}  // namespace zebra::hopper
