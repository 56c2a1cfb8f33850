#pragma once

#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "zebra_kernels/kernel.h"

// How tests run the kernels of the CPU.

namespace zebra::kernels::testing {

inline std::vector<InstructionSet> supported_sets() {
  std::vector<InstructionSet> sets;
  for (const auto set : {InstructionSet::kPortable, InstructionSet::kAvx2, InstructionSet::kAvx512,
                         InstructionSet::kAvx512Bf16, InstructionSet::kAmxBf16})
    if (is_supported(set)) sets.push_back(set);
  return sets;
}

inline void serial(std::int64_t tasks, const std::function<void(std::int64_t)>& body) {
  for (std::int64_t task = 0; task < tasks; ++task) body(task);
}

/// Tasks in descending order, dealt to `count` threads.
inline ParallelFor threads(int count) {
  return [count](std::int64_t tasks, const std::function<void(std::int64_t)>& body) {
    std::vector<std::thread> pool;
    for (int thread = 0; thread < count; ++thread) {
      pool.emplace_back([=, &body] {
        for (auto task = tasks - 1 - thread; task >= 0; task -= count) body(task);
      });
    }
    for (auto& thread : pool) thread.join();
  };
}

}  // namespace zebra::kernels::testing
