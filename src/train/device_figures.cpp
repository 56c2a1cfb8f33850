#include "train/device_figures.h"

#include <ATen/DeviceAccelerator.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <string>

#include "base/text.h"
#include "ops/cuda_library.h"
#include "plan/model_cost.h"
#include "plan/step_time.h"

namespace zebra {
namespace {

std::optional<double> resident_memory_gib() {
  std::ifstream statm("/proc/self/statm");
  double total_pages = 0, resident_pages = 0;
  if (!(statm >> total_pages >> resident_pages)) return std::nullopt;
  return resident_pages * static_cast<double>(::sysconf(_SC_PAGESIZE)) / kBytesPerGiB;
}

}  // namespace

std::optional<double> memory_gib(c10::Device device) {
  if (device.is_cpu()) return resident_memory_gib();
  constexpr auto aggregate = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  const auto stats = at::accelerator::getDeviceStats(device.index());
  return static_cast<double>(stats.allocated_bytes.at(aggregate).peak) / kBytesPerGiB;
}

std::optional<double> sheet_flops(c10::Device device, Precision precision) {
  if (!device.is_cuda()) return std::nullopt;
  // "NVIDIA H100 80GB HBM3" is an "h100"; sizes of memory ("a100-40gb") compute alike.
  auto name = cuda_library().device_name(device);
  std::ranges::transform(name, name.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const auto& gpu : gpus()) {
    const auto family = gpu.name.substr(0, gpu.name.find('-'));
    if (name.find(family) != std::string::npos) return peak_flops(gpu, precision);
  }
  return std::nullopt;
}

double flops_per_token(const Config& config, std::int64_t window) {
  auto model = config.model;
  model.window_size = window;
  return kTrainingPasses * forward_flops_per_token(model, config.data.sequence_length).total();
}

}  // namespace zebra
