#pragma once

#include <cstddef>
#include <vector>

#include "emulation/emulated_device.h"
#include "emulation/scheduler.h"

namespace zebra::kernels::emulation {

/// The asynchronous copies of one thread.
class Copies {
 public:
  static constexpr std::size_t kBytes = 16;

  /// `global` null: zeros.
  void issue(std::byte* shared, const void* global, Place place, Schedule::Copies policy);
  void commit() { ++groups_; }
  /// Returns when all but the `pending` newest groups have arrived.
  void wait(int pending);
  /// One of those that have not arrived, if any.
  void perform_any(Random& random);
  void clear() { copies_.clear(); }

  bool empty() const { return copies_.empty(); }
  /// Where the oldest that was not waited for was issued.
  Place place() const { return copies_.front().place; }

 private:
  struct Copy {
    std::byte* shared;
    const void* global;
    int group;
    bool arrived;
    Place place;
  };

  static void perform(Copy& copy);

  std::vector<Copy> copies_;  // not yet waited for, in the order of issue
  int groups_ = 0;            // committed
};

}  // namespace zebra::kernels::emulation
