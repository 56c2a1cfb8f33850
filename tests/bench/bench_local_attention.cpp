// Prints what the CPU kernel of local attention reaches: useful GFLOP/s of forward, backward and
// both, pairs counted exactly from the band. Arguments: threads (default 2), repetitions (9), and
// optionally D W T type instruction-set for a single row.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "zebra_kernels/local_attention.h"

namespace {

using namespace zebra::kernels;

int g_threads = 2, g_repetitions = 9;

void run_parallel(std::int64_t tasks, const std::function<void(std::int64_t)>& body) {
  std::vector<std::thread> threads;
  const auto share = [&](int thread) {
    for (auto task = tasks * thread / g_threads; task < tasks * (thread + 1) / g_threads; ++task)
      body(task);
  };
  for (int thread = 1; thread < g_threads; ++thread) threads.emplace_back(share, thread);
  share(0);
  for (auto& thread : threads) thread.join();
}

double seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

struct Median {
  double median, lowest, highest;
};

Median summary(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values[values.size() / 2], values.front(), values.back()};
}

/// One shape with its arrays: a packed projection [T, 3 H, D] and a packed gradient.
struct Problem {
  Problem(std::int64_t head_size, std::int64_t window, std::int64_t length, ElementType type)
      : shape{1, length, 8, 8, head_size, window, type},
        bytes(type == ElementType::kFloat32 ? 4 : 2),
        row(3 * shape.query_heads * head_size) {
    packed.resize(static_cast<std::size_t>(length * row * bytes));
    gradient.resize(packed.size());
    out.resize(packed.size() / 3);
    d_out.resize(packed.size() / 3);
    fill(packed, 1);
    fill(d_out, 2);
    log_sum_exp.resize(static_cast<std::size_t>(length * shape.query_heads));
    for (std::int64_t t = 0; t < length; ++t) {
      for (std::int64_t j = 0; j < head_size / 2; ++j) {
        const double angle =
            static_cast<double>(t) *
            std::pow(1e4, -2.0 * static_cast<double>(j) / static_cast<double>(head_size));
        cos.push_back(static_cast<float>(std::cos(angle)));
        sin.push_back(static_cast<float>(std::sin(angle)));
      }
    }
    const std::size_t workspace_bytes = local_attention_backward_workspace_bytes(shape);
    workspace.reset(static_cast<char*>(
        std::aligned_alloc(64, (std::max<std::size_t>(workspace_bytes, 64) + 63) / 64 * 64)));
    inputs.shape = shape;
    inputs.q = {packed.data(), 0, row, head_size};
    inputs.k = {at(packed, 1), 0, row, head_size};
    inputs.v = {at(packed, 2), 0, row, head_size};
    inputs.rotary = {cos.data(), sin.data(), 0, head_size / 2};
  }

  void forward(std::optional<InstructionSet> set) {
    local_attention_forward({inputs, {out.data(), 0, row / 3, shape.head_size}, log_sum_exp.data()},
                            run_parallel, set);
  }
  void backward(std::optional<InstructionSet> set) {
    LocalAttentionBackward arguments;
    arguments.inputs = inputs;
    arguments.out = {out.data(), 0, row / 3, shape.head_size};
    arguments.log_sum_exp = log_sum_exp.data();
    arguments.d_out = {d_out.data(), 0, row / 3, shape.head_size};
    arguments.dq = {at(gradient, 0), 0, row, shape.head_size};
    arguments.dk = {at(gradient, 1), 0, row, shape.head_size};
    arguments.dv = {at(gradient, 2), 0, row, shape.head_size};
    arguments.workspace = workspace.get();
    local_attention_backward(arguments, run_parallel, set);
  }

  /// Useful FLOPs of the forward; the backward has 2.5 times as many.
  double forward_flops() const {
    double pairs = 0;
    for (std::int64_t t = 0; t < shape.length; ++t)
      pairs += static_cast<double>(std::min(t, shape.window) + 1);
    return 4.0 * static_cast<double>(shape.head_size * shape.query_heads) * pairs;
  }

 private:
  char* at(std::vector<char>& array, std::int64_t part) const {
    return array.data() + part * row / 3 * bytes;
  }
  void fill(std::vector<char>& array, std::uint64_t state) const {
    for (std::size_t i = 0; i < array.size() / static_cast<std::size_t>(bytes); ++i) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      const float x = static_cast<float>(state >> 40) * 0x1.0p-23F - 1.0F;
      std::uint32_t bits;
      std::copy_n(reinterpret_cast<const char*>(&x), 4, reinterpret_cast<char*>(&bits));
      if (bytes == 2) bits >>= 16;
      std::copy_n(reinterpret_cast<const char*>(&bits), bytes,
                  array.data() + i * static_cast<std::size_t>(bytes));
    }
  }
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };

  LocalAttentionShape shape;
  std::int64_t bytes, row;
  std::vector<char> packed, gradient, out, d_out;
  std::vector<float> log_sum_exp, cos, sin;
  std::unique_ptr<char, Free> workspace;
  LocalAttentionInputs inputs;
};

void report(std::int64_t head_size, std::int64_t window, std::int64_t length, ElementType type,
            std::optional<InstructionSet> set) {
  Problem problem(head_size, window, length, type);
  std::vector<double> forward, backward, both;
  problem.forward(set);
  problem.backward(set);
  for (int i = 0; i < g_repetitions; ++i) {
    forward.push_back(seconds([&] { problem.forward(set); }));
    backward.push_back(seconds([&] { problem.backward(set); }));
    both.push_back(forward.back() + backward.back());
  }
  const double flops = problem.forward_flops() * 1e-9;
  const auto f = summary(forward), b = summary(backward), s = summary(both);
  std::printf("| %s | %s | %3lld | %5lld | %6lld | %6.1f | %6.1f | %6.1f (%.1f-%.1f) | %8.2f |\n",
              instruction_set_name(set.value_or(best_instruction_set())),
              type == ElementType::kFloat32 ? "float32" : "bfloat16",
              static_cast<long long>(head_size), static_cast<long long>(window),
              static_cast<long long>(length), flops / f.median, 2.5 * flops / b.median,
              3.5 * flops / s.median, 3.5 * flops / s.highest, 3.5 * flops / s.lowest,
              s.median * 1e3);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) g_threads = std::max(1, std::atoi(argv[1]));
  if (argc > 2) g_repetitions = std::max(1, std::atoi(argv[2]));
  std::printf(
      "B = 1, H = 8, rotary inside, %d threads, useful GFLOP/s\n"
      "| instruction set | type | D | W | T | forward | backward | both (lowest-highest) | ms |\n"
      "|---|---|---|---|---|---|---|---|---|\n",
      g_threads);
  if (argc > 6) {
    std::optional<InstructionSet> set;
    for (const auto candidate : {InstructionSet::kPortable, InstructionSet::kAvx2,
                                 InstructionSet::kAvx512, InstructionSet::kAvx512Bf16})
      if (argc > 7 && std::string(argv[7]) == instruction_set_name(candidate)) set = candidate;
    report(std::atoll(argv[3]), std::atoll(argv[4]), std::atoll(argv[5]),
           std::string(argv[6]) == "float32" ? ElementType::kFloat32 : ElementType::kBfloat16, set);
    return 0;
  }
  for (const auto type : {ElementType::kBfloat16, ElementType::kFloat32})
    for (const int head_size : {32, 64, 128})
      for (const int window : {128, 512, 1024}) report(head_size, window, 4096, type, std::nullopt);
  for (const int length : {2048, 4096, 8192, 16384, 32768, 65536})
    report(64, 512, length, ElementType::kBfloat16, std::nullopt);
  return 0;
}
