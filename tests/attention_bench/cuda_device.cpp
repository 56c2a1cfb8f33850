// Only in builds with CUDA.

#include <ATen/DeviceAccelerator.h>
#include <c10/core/Event.h>

#include <algorithm>
#include <cmath>

#include "device.h"
#include "ops/cuda_library.h"

namespace zebra::bench {
namespace {

constexpr double kSecondsPerMeasurement = 0.02;
constexpr double kMostCalls = 1000;

// Device memory that LibTorch's allocator has handed out.
c10::CachingAllocator::Stat allocated_bytes() {
  constexpr auto aggregate = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return at::accelerator::getDeviceStats(at::accelerator::getDeviceIndex())
      .allocated_bytes.at(aggregate);
}

class CudaDevice final : public Device {
 public:
  std::string name() const override {
    return cuda_library().device_name({torch::kCUDA, at::accelerator::getDeviceIndex()});
  }

  double seconds(const std::function<void()>& work) const override {
    const double estimate = seconds_of_calls(work, 1);
    const auto calls =
        static_cast<int>(std::clamp(std::ceil(kSecondsPerMeasurement / estimate), 1.0, kMostCalls));
    return seconds_of_calls(work, calls) / calls;
  }

  std::int64_t reset_peak_bytes() override {
    const auto device = at::accelerator::getDeviceIndex();
    at::accelerator::synchronizeDevice(device);
    at::accelerator::emptyCache();
    at::accelerator::resetPeakStats(device);
    return allocated_bytes().current;
  }

  std::int64_t peak_bytes() override { return allocated_bytes().peak; }

 private:
  // LibTorch's device-independent events: CUDA events that need no CUDA runtime at link time.
  static double seconds_of_calls(const std::function<void()>& work, int calls) {
    const auto stream = at::accelerator::getCurrentStream(at::accelerator::getDeviceIndex());
    c10::Event begin(c10::DeviceType::CUDA, c10::EventFlag::BACKEND_DEFAULT),
        end(c10::DeviceType::CUDA, c10::EventFlag::BACKEND_DEFAULT);
    stream.synchronize();
    begin.record(stream);
    for (int call = 0; call < calls; ++call) work();
    end.record(stream);
    end.synchronize();
    return begin.elapsedTime(end) * 1e-3;
  }
};

}  // namespace

std::unique_ptr<Device> cuda_device() { return std::make_unique<CudaDevice>(); }

}  // namespace zebra::bench
