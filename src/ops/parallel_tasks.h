#pragma once

#include <ATen/Parallel.h>

#include <cstdint>
#include <functional>

namespace zebra {

/// The ParallelFor of our CPU kernels on LibTorch's threads.
inline void parallel_tasks(std::int64_t tasks, const std::function<void(std::int64_t)>& body) {
  at::parallel_for(0, tasks, /*grain_size=*/1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task) body(task);
  });
}

}  // namespace zebra
