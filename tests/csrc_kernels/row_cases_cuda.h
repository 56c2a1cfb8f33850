#pragma once

#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "csrc_kernels/row_references.h"
#include "emulated_device.h"
#include "emulation/sanitizer.h"

// What the tests of the emulated row kernels share.

namespace zebra::kernels::testing {

using emulation::Conditions;
using emulation::Schedule;

#ifdef ZEBRA_ADDRESS_SANITIZER  // three times slower; the plain build (--long) runs all
constexpr Schedule kRowSchedules[] = {{1}, {2}};
#else
constexpr Schedule kRowSchedules[] = {{0}, {1}, {2}};
#endif

/// Exactly `count` elements, `offset` elements behind a multiple of 256 bytes, between guards.
/// Everything is NaN until set. Under AddressSanitizer the guards cannot be touched.
class DeviceArray {
 public:
  DeviceArray(ElementType type, std::int64_t count, std::int64_t offset = 0)
      : type_(type),
        size_(type == ElementType::kFloat32 ? 4 : 2),
        begin_(kGuardBytes + static_cast<std::size_t>(offset) * size_),
        end_(begin_ + static_cast<std::size_t>(count) * size_),
        total_((end_ + kGuardBytes + 255) / 256 * 256),
        bytes_(static_cast<unsigned char*>(std::aligned_alloc(256, total_))) {
    if (bytes_ == nullptr) throw std::bad_alloc();
    std::memset(bytes_, 0xff, total_);
    emulation::sanitizer::poison(bytes_, begin_);
    emulation::sanitizer::poison(bytes_ + end_, total_ - end_);
  }
  DeviceArray(ElementType type, const Values& values, std::int64_t offset = 0)
      : DeviceArray(type, static_cast<std::int64_t>(values.size()), offset) {
    set(values);
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() {
    emulation::sanitizer::unpoison(bytes_, total_);
    std::free(bytes_);
  }

  void* data() { return bytes_ + begin_; }
  float* floats() { return static_cast<float*>(data()); }
  ElementType type() const { return type_; }

  void set(const Values& values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto single = static_cast<float>(values[i]);
      const auto half = to_bfloat16(single);
      std::memcpy(bytes_ + begin_ + i * size_,
                  type_ == ElementType::kFloat32 ? static_cast<const void*>(&single) : &half,
                  size_);
    }
  }
  Values values() const {
    Values values;
    for (std::size_t at = begin_; at < end_; at += size_) {
      float single;
      std::uint16_t half;
      std::memcpy(&single, bytes_ + at, type_ == ElementType::kFloat32 ? size_ : 0);
      std::memcpy(&half, bytes_ + at, type_ == ElementType::kFloat32 ? 0 : size_);
      values.push_back(type_ == ElementType::kFloat32 ? single : from_bfloat16(half));
    }
    return values;
  }
  std::string bits() const {
    return {reinterpret_cast<const char*>(bytes_) + begin_, end_ - begin_};
  }
  bool guards_untouched() const {
    emulation::sanitizer::unpoison(bytes_, total_);
    bool untouched = true;
    for (std::size_t i = 0; i < total_; ++i)
      if ((i < begin_ || i >= end_) && bytes_[i] != 0xff) untouched = false;
    return untouched;
  }

 private:
  static constexpr std::size_t kGuardBytes = 256;

  ElementType type_;
  std::size_t size_, begin_, end_, total_;
  unsigned char* bytes_;
};

/// What is wrong with rows of results, empty if nothing: see errors_of_rows.
inline std::string errors_of(const char* what, const DeviceArray& results, const Values& naive,
                             const Values& exact, std::int64_t width) {
  return errors_of_rows(what, results.values(), naive, exact, results.type(), width) +
         (results.guards_untouched() ? "" : std::string(what) + ": wrote outside; ");
}

/// `run` returns the bits of what it wrote: they must not depend on the schedule.
inline bool same_bits_on_every_schedule(const std::function<std::string()>& run) {
  std::string first;
  for (const auto& schedule : kRowSchedules) {
    const Conditions conditions(schedule);
    const auto bits = run();
    if (first.empty()) first = bits;
    if (bits != first) return false;
  }
  return true;
}

constexpr ElementType kTypes[] = {ElementType::kFloat32, ElementType::kBfloat16};

}  // namespace zebra::kernels::testing
