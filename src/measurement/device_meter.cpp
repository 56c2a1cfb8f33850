#include "measurement/device_meter.h"

#include <ATen/DeviceAccelerator.h>
#include <malloc.h>

#include <fstream>

#include "base/system.h"
#include "ops/tensor_memory.h"
#ifdef ZEBRA_WITH_CUDA
#include <ATen/cuda/CUDAContextLight.h>
#endif

namespace zebra {
namespace {

// Of this process; nothing where the system does not say.
std::optional<std::int64_t> status_bytes(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key + ":")) return 1024 * std::stoll(line.substr(key.size() + 1));
  }
  return std::nullopt;
}

c10::CachingAllocator::Stat allocated_bytes(torch::Device device) {
  constexpr auto aggregate = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return at::accelerator::getDeviceStats(device.index()).allocated_bytes.at(aggregate);
}

}  // namespace

DeviceMeter::DeviceMeter(torch::Device device) : device_(device) {
  if (device.is_cpu()) keep_tensor_memory();
}

std::string DeviceMeter::machine() const {
#ifdef ZEBRA_WITH_CUDA
  if (device_.is_cuda()) return at::cuda::getDeviceProperties(device_.index())->name;
#endif
  return processor_name();
}

void DeviceMeter::synchronize() const {
  if (!device_.is_cpu()) at::accelerator::synchronizeDevice(device_.index());
}

double DeviceMeter::seconds(const std::function<void()>& work) const {
  synchronize();
  const double begin = monotonic_seconds();
  work();
  synchronize();
  return monotonic_seconds() - begin;
}

std::optional<std::int64_t> DeviceMeter::reset_peak_bytes() const {
  if (!device_.is_cpu()) {
    synchronize();
    at::accelerator::emptyCache();
    at::accelerator::resetPeakStats(device_.index());
    return allocated_bytes(device_).current;
  }
  release_tensor_memory();
  malloc_trim(0);
  std::ofstream file("/proc/self/clear_refs");
  file << "5" << std::flush;  // sets the peak of the resident set back: proc(5)
  return file ? status_bytes("VmRSS") : std::nullopt;
}

std::optional<std::int64_t> DeviceMeter::peak_bytes() const {
  return device_.is_cpu() ? status_bytes("VmHWM") : allocated_bytes(device_).peak;
}

}  // namespace zebra
