#pragma once

// For tests of the emulation: running small kernels, and what they report.

#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/device.h"
#include "emulation/sanitizer.h"

namespace zebra::kernels::testing {

using emulation::Conditions;
using emulation::Fault;
using emulation::Schedule;

constexpr Schedule::Copies kPolicies[] = {Schedule::Copies::kLate, Schedule::Copies::kEarly,
                                          Schedule::Copies::kRandom};

template <class Parameters>
void run(void (*kernel)(Parameters), int threads, int shared_bytes, Parameters parameters,
         device::Grid grid = {}) {
  device::launch(kernel, grid, threads, shared_bytes, parameters, device::Stream{});
}

/// What a launch throws as std::logic_error; empty if nothing.
template <class Parameters>
std::string error_of(void (*kernel)(Parameters), int threads, int shared_bytes,
                     Parameters parameters, device::Grid grid = {}) {
  try {
    run(kernel, threads, shared_bytes, parameters, grid);
  } catch (const std::logic_error& error) {
    return error.what();
  }
  return "";
}

/// What threads tell a test, in the order in which they do. No part of the kernel's memory.
class Log {
 public:
  void add(int event) {
    const emulation::sanitizer::Unobserved test;
    events_.push_back(event);
  }
  const std::vector<int>& events() const { return events_; }

 private:
  std::vector<int> events_;
};

}  // namespace zebra::kernels::testing
