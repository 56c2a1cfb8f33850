#pragma once

namespace zebra {

/// What an allocation of the training state is for, as `zebra plan` lists it.
enum class MemoryPart {
  other,
  weights,
  gradients,
  masters,
  moments,
  gathered_weights,
  gradients_in_flight,
  reduction_copies,
};

/// The part that allocations of this thread are for while this object lives. Who reads it is the
/// allocator of tests/support/counting_allocator.h, which holds the plan of each part against what
/// is allocated for it; a run does nothing with it.
class MemoryPartScope {
 public:
  explicit MemoryPartScope(MemoryPart part) : outer_(current_) { current_ = part; }
  ~MemoryPartScope() { current_ = outer_; }
  MemoryPartScope(const MemoryPartScope&) = delete;
  MemoryPartScope& operator=(const MemoryPartScope&) = delete;

  static MemoryPart current() { return current_; }

 private:
  static inline thread_local MemoryPart current_ = MemoryPart::other;
  MemoryPart outer_;
};

}  // namespace zebra
