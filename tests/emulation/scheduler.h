#pragma once

#include <bit>
#include <cstdint>

#include "emulation/emulated_device.h"
#include "emulation/warp.h"

namespace zebra::kernels::emulation {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  /// SplitMix64.
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  int below(int bound) {
    return static_cast<int>((next() >> 32) * static_cast<unsigned>(bound) >> 32);
  }

 private:
  std::uint64_t state_;
};

/// The threads of a block that can run, and the choice among them.
class Scheduler {
 public:
  static constexpr int kNone = -1;

  explicit Scheduler(std::uint64_t seed) : order_(static_cast<Order>(seed % 3)), random_(seed) {}

  void set_ready(int thread) {
    lanes_[thread / kLanes] |= 1u << thread % kLanes;
    warps_ |= 1u << thread / kLanes;
  }
  void set_warp_ready(int warp) {
    lanes_[warp] = ~0u;
    warps_ |= 1u << warp;
  }
  void set_waiting(int thread) {
    lanes_[thread / kLanes] &= ~(1u << thread % kLanes);
    if (lanes_[thread / kLanes] == 0) warps_ &= ~(1u << thread / kLanes);
  }
  void clear() {
    for (auto& lanes : lanes_) lanes = 0;
    warps_ = 0;
  }

  /// The thread that shall run now, or kNone.
  int choose() {
    if (warps_ == 0) return kNone;
    if (order_ == Order::kReverse) {
      const int warp = highest(warps_);
      return warp * kLanes + highest(lanes_[warp]);
    }
    if (order_ == Order::kRandom || lanes_[warp_] == 0) warp_ = any(warps_);
    return warp_ * kLanes + any(lanes_[warp_]);
  }

  Random& random() { return random_; }

 private:
  enum class Order { kRandom, kWarpAhead, kReverse };
  static constexpr int kWarps = 32;

  static int highest(std::uint32_t bits) { return 31 - std::countl_zero(bits); }
  int any(std::uint32_t bits) {
    for (int skipped = random_.below(std::popcount(bits)); skipped > 0; --skipped) bits &= bits - 1;
    return std::countr_zero(bits);
  }

  Order order_;
  Random random_;
  std::uint32_t lanes_[kWarps] = {};
  std::uint32_t warps_ = 0;  // those with a lane that can run
  int warp_ = 0;             // the one that ran last
};

}  // namespace zebra::kernels::emulation
