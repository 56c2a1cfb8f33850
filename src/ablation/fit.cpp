#include "ablation/fit.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/text.h"
#include "model/placement.h"
#include "plan/plan.h"

namespace zebra {
namespace {

std::string bytes_text(std::int64_t bytes) { return with_byte_unit(static_cast<double>(bytes)); }

constexpr const char* kLess =
    "; make the model, train.micro_batch_size or data.sequence_length smaller, or set "
    "train.activation_checkpointing";

}  // namespace

void check_fit(const std::vector<Arm>& arms, int jobs) {
  Problems problems;
  std::vector<std::int64_t> on_cpu;
  std::int64_t memory_of_cpu = 0;
  for (const auto& arm : arms) {
    const auto device = resolve_device(arm.config.run.device);
    auto needed = training_bytes_per_rank(arm.config);
    if (device.is_cpu()) needed += host_copy_bytes_per_rank(arm.config);
    const auto there = device_memory_bytes(device);
    if (needed > there) {
      problems.add("arm " + arm.name + ": training takes some " + bytes_text(needed) + ", but " +
                   device.str() + " has " + bytes_text(there) + kLess);
    } else if (device.is_cpu()) {
      on_cpu.push_back(needed);
      memory_of_cpu = there;
    }
  }
  std::sort(on_cpu.rbegin(), on_cpu.rend());
  on_cpu.resize(std::min(on_cpu.size(), static_cast<std::size_t>(jobs)));
  const auto together = std::accumulate(on_cpu.begin(), on_cpu.end(), std::int64_t{0});
  if (problems.empty() && together > memory_of_cpu) {
    problems.add("--jobs " + std::to_string(jobs) + ": the largest arms take some " +
                 bytes_text(together) + " together, but the machine has " +
                 bytes_text(memory_of_cpu) + "; give fewer jobs");
  }
  problems.throw_if_any();
}

}  // namespace zebra
