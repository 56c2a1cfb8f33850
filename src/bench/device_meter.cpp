#include "bench/device_meter.h"

#include <ATen/DeviceAccelerator.h>
#include <malloc.h>

#include <fstream>
#include <string_view>
#include <utility>

#include "base/system.h"
#include "model/placement.h"
#include "ops/cuda_library.h"
#include "ops/linear.h"
#include "ops/part_scope.h"
#include "ops/tensor_memory.h"

namespace zebra {
namespace {

constexpr std::int64_t kMatmulSizeOnCpu = 2048, kMatmulSizeOnGpu = 8192;
constexpr int kMatmuls = 6;

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
  return device_.is_cuda() ? cuda_library().device_name(device_) : processor_name();
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

// A part that a thread is at work on.
struct PartTimes::Open : at::ObserverContext {
  std::string name;
  double began = 0.0;
  double in_inner_parts = 0.0;
  Open* outer = nullptr;
};

PartTimes::PartTimes(const DeviceMeter& meter) : meter_(meter) {
  TORCH_CHECK(listening_ == nullptr, "one PartTimes at a time");
  listening_ = this;
  handle_ = at::addGlobalCallback(
      at::RecordFunctionCallback(begin, end).scopes({at::RecordScope::USER_SCOPE}));
}

PartTimes::~PartTimes() {
  at::removeCallback(handle_);
  listening_ = nullptr;
}

std::map<std::string, double> PartTimes::seconds() const {
  const std::lock_guard lock(mutex_);
  return seconds_;
}

std::unique_ptr<at::ObserverContext> PartTimes::begin(const at::RecordFunction& function) {
  const std::string_view prefix = kPartPrefix, name = function.name();
  if (!name.starts_with(prefix)) return nullptr;
  listening_->meter_.synchronize();
  auto open = std::make_unique<Open>();
  open->name = name.substr(prefix.size());
  open->outer = std::exchange(innermost_, open.get());
  open->began = monotonic_seconds();
  return open;
}

void PartTimes::end(const at::RecordFunction&, at::ObserverContext* context) {
  if (context == nullptr) return;
  listening_->meter_.synchronize();
  const auto& open = static_cast<const Open&>(*context);
  const double lasted = monotonic_seconds() - open.began;
  innermost_ = open.outer;
  if (open.outer != nullptr) open.outer->in_inner_parts += lasted;
  const std::lock_guard lock(listening_->mutex_);
  listening_->seconds_[open.name] += lasted - open.in_inner_parts;
}

double peak_matmul_flops(Precision precision, const DeviceMeter& meter) {
  const auto size = meter.device().is_cpu() ? kMatmulSizeOnCpu : kMatmulSizeOnGpu;
  const auto options = torch::TensorOptions(meter.device()).dtype(weight_type(precision));
  const auto a = torch::randn({size, size}, options), b = torch::randn({size, size}, options);
  auto out = torch::empty({size, size}, options);
  matrix_product_out(out, a, b);
  double quickest = meter.seconds([&] { matrix_product_out(out, a, b); });
  for (int i = 1; i < kMatmuls; ++i) {
    quickest = std::min(quickest, meter.seconds([&] { matrix_product_out(out, a, b); }));
  }
  const auto edge = static_cast<double>(size);
  return 2.0 * edge * edge * edge / quickest;
}

}  // namespace zebra
