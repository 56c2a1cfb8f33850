#pragma once

#include <ATen/record_function.h>

#include <string>
#include <string_view>

namespace zebra {

/// Names of the parts of a training step begin with this, so that whoever listens to LibTorch's
/// record functions tells them from others.
inline constexpr const char* kPartPrefix = "zebra: ";

/// "zebra: forward, local layers" of "forward, " and "local layers".
inline std::string part_name(std::string_view name, std::string_view rest = "") {
  return std::string(kPartPrefix).append(name).append(rest);
}

/// From now on each part of a step is an NVTX range of its thread, for Nsight Systems. Without such
/// a tool a range costs nanoseconds. Nothing in a build without CUDA.
void mark_nvtx_ranges();

}  // namespace zebra

/// Until the end of the block the thread is at work on the named part of a step: seen by profilers
/// (a range in the trace), by mark_nvtx_ranges and by bench/device_meter.h. Costs nanoseconds where
/// nobody listens; `name` is then not evaluated.
#define ZEBRA_PART(...) RECORD_USER_SCOPE(::zebra::part_name(__VA_ARGS__))

/// Until the end of the block the thread allocates for that part of the training state, as `zebra
/// plan` lists them. Seen by profilers, and by tests/support/counting_allocator.h, which holds the
/// plan against what is allocated.
#define ZEBRA_MEMORY_PART(name) RECORD_USER_SCOPE(name)
