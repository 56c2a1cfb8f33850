#include <malloc.h>

#include <chrono>
#include <fstream>

#include "base/error.h"
#include "device.h"

namespace zebra::bench {
namespace {

// The text behind "KEY:" in a file of /proc; empty where there is none.
std::string proc_value(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, key.size(), key) != 0) continue;
    const auto begin = line.find_first_not_of(" \t", line.find(':') + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

std::int64_t status_bytes(const std::string& key) {
  const auto value = proc_value("/proc/self/status", key);
  if (value.empty()) throw RunError("/proc/self/status has no " + key + ": cannot measure memory");
  return 1024 * std::stoll(value);
}

class CpuDevice final : public Device {
 public:
  CpuDevice() {
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, -1);
  }

  std::string name() const override {
    const auto model = proc_value("/proc/cpuinfo", "model name");
    return model.empty() ? "unknown processor" : model;
  }

  double seconds(const std::function<void()>& work) const override {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  std::int64_t reset_peak_bytes() override {
    malloc_trim(0);
    std::ofstream file("/proc/self/clear_refs");
    file << "5" << std::flush;  // 5 resets the peak of the resident set: proc(5)
    if (!file) {
      throw RunError("/proc/self/clear_refs cannot be written: cannot measure the peak of memory");
    }
    return status_bytes("VmRSS");
  }

  std::int64_t peak_bytes() override { return status_bytes("VmHWM"); }
};

}  // namespace

std::unique_ptr<Device> cpu_device() { return std::make_unique<CpuDevice>(); }

}  // namespace zebra::bench
