#pragma once

#include <cstddef>
#include <memory>

#include "emulation/guarded_memory.h"

namespace zebra::kernels::emulation {

/// A thread of execution with its own stack that runs only when another fiber switches to it.
class Fiber {
 public:
  /// The one that is running now, on the stack of the operating system's thread.
  Fiber();
  /// Runs `entry`, which must call begin() and not return, when first switched to.
  explicit Fiber(void (*entry)());
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// From the running fiber to another; returns when something switches back.
  [[gnu::no_sanitize("thread")]] static void switch_to(Fiber& from, Fiber& to);
  /// The first thing that a fiber does.
  static void begin();

 private:
  void* stack_pointer_ = nullptr;
  std::unique_ptr<GuardedMemory> stack_;
  // For the sanitizers.
  const void* stack_bottom_ = nullptr;
  std::size_t stack_bytes_ = 0;
  void* fake_stack_ = nullptr;
  void* thread_ = nullptr;
};

}  // namespace zebra::kernels::emulation
