// zebra_bench_tiles: where the time of local attention with tiles goes, on one thread. For each
// size of heads: the kernels as they are, the same with tile instructions that do nothing (what is
// left is the time of all others), and the products alone from the nearest cache. Without LibTorch.

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <functional>
#include <vector>

#include "cpu/kernel_table.h"
#include "csrc_kernels/cpu_run.h"
#include "csrc_kernels/local_attention_run.h"
#include "products.h"

namespace zebra::kernels {
const KernelTable* idle_tile_kernels();
}

namespace zebra::bench {
namespace {

using namespace zebra::kernels;
using testing::Case;

constexpr int kRepetitions = 7;

/// Of this thread, which others may keep waiting.
double processor_seconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Median.
double seconds(const std::function<void()>& run) {
  std::vector<double> all;
  run();
  for (int i = 0; i < kRepetitions; ++i) {
    const double begin = processor_seconds();
    run();
    all.push_back(processor_seconds() - begin);
  }
  std::sort(all.begin(), all.end());
  return all[kRepetitions / 2];
}

double visible_pairs(const Case& c) {
  double pairs = 0;
  for (std::int64_t t = 0; t < c.length; ++t)
    pairs += static_cast<double>(std::min(t, c.window) + 1);
  return pairs;
}

void bench(const char* name, const KernelTable& table, const Case& c) {
  testing::Run<> run(c, testing::make_inputs(c, 1));
  testing::Scratch<testing::HostMemory> workspace(
      local_attention_backward_workspace_bytes(run.shape));
  const auto forward = run.forward_arguments();
  auto backward = run.backward_arguments();
  backward.workspace = workspace.data();
  const auto plan = local_attention_plan(run.shape, table.attention_head_unit);
  const double forward_seconds = seconds([&] {
    for (std::int64_t task = 0; task < plan.chunks; ++task)
      table.attention_forward(forward, plan, task);
  });
  const double backward_seconds = seconds([&] {
    for (std::int64_t task = 0; task < plan.chunks; ++task)
      table.attention_backward(backward, plan, task);
  });
  const double tiles = visible_pairs(c) / (kTile * kTile),
               flops = 4.0 * static_cast<double>(c.head_size) * visible_pairs(c);
  std::printf("| %lld | %lld | %s | %.0f | %.0f | %.0f | %.0f |\n",
              static_cast<long long>(c.head_size), static_cast<long long>(c.window), name,
              forward_seconds / tiles * 1e9, backward_seconds / tiles * 1e9,
              flops / forward_seconds * 1e-9, 2.5 * flops / backward_seconds * 1e-9);
}

void bench_products() {
  std::printf("\n| product from L1 | sums | ns | GFLOP/s |\n|---|---|---|---|\n");
  for (const int depth : {32, 64, 128, 256}) {
    for (const bool accumulates : {false, true}) {
      constexpr std::int64_t kTimes = 100000;
      const double time =
          seconds([&] { multiply_repeatedly(depth, accumulates, kTimes); }) / kTimes;
      std::printf("| 32 x 32 x %d | %s | %.1f | %.0f |\n", depth,
                  accumulates ? "loaded and stored" : "stored", time * 1e9,
                  2.0 * 32 * 32 * depth / time * 1e-9);
    }
  }
}

int run() {
  if (!is_supported(InstructionSet::kAvx512Bf16)) {
    std::fprintf(stderr, "This processor lacks avx512_bf16.\n");
    return 1;
  }
  const bool has_tiles = is_supported(InstructionSet::kAmxBf16);
  std::printf(
      "T 4096, one head, bfloat16, rotary embedding, one thread, medians of %d. processor ns per "
      "64 x "
      "64 visible pairs.\n\n"
      "| D | W | kernels | forward ns | backward ns | forward GFLOP/s | backward GFLOP/s |\n"
      "|---|---|---|---|---|---|---|\n",
      kRepetitions);
  for (const std::int64_t head_size : {32, 64, 128}) {
    for (const std::int64_t window : {512, 4095}) {
      const Case c{4096,
                   window,
                   head_size,
                   1,
                   1,
                   1,
                   testing::Rotary::kShared,
                   false,
                   ElementType::kBfloat16};
      bench("avx512_bf16", avx512_bf16_kernels()[1], c);
      if (has_tiles) bench("amx_bf16", amx_bf16_kernels()[1], c);
      bench("amx_bf16 without its tile instructions", idle_tile_kernels()[1], c);
    }
  }
  if (has_tiles)
    bench_products();
  else
    std::printf("\nNo AMX here: neither the kernels as they are nor their products.\n");
  return 0;
}

}  // namespace
}  // namespace zebra::bench

int main() { return zebra::bench::run(); }
