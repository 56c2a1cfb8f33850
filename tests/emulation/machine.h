#pragma once

#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "emulation/copies.h"
#include "emulation/emulated_device.h"
#include "emulation/fiber.h"
#include "emulation/guarded_memory.h"
#include "emulation/scheduler.h"
#include "emulation/warp.h"

namespace zebra::kernels::emulation {

/// In which threads wait for each other: the first for a block, the others for a warp.
enum class Operation {
  kBlockBarrier,
  kWarpBarrier,
  kShuffle,
  kLoadMatrices,
  kLoadMatricesTransposed,
  kMultiplyAdd,
};

struct Thread {
  enum class State { kReady, kWaiting, kFinished };

  State state = State::kReady;
  bool started = false;
  Operation operation = Operation::kBlockBarrier;  // in which it waits, or waited last
  Place place;
  int block_barriers = 0, warp_barriers = 0;  // that it has reached
  Copies copies;
};

constexpr int kMaximumThreads = 1024;

struct BlockMemory {
  explicit BlockMemory(std::size_t shared_bytes) : shared(shared_bytes) {}

  SharedMemory shared;
  // What ThreadSanitizer orders accesses by. Of two barriers in a row each has its own, so that the
  // slow threads of one do not see what the quick ones did before the next.
  char block_order[2] = {}, warp_order[kMaximumThreads / kLanes][2] = {};
};

/// Runs grids, and keeps the conditions of runs and the counts.
class Machine {
 public:
  void run(const Launch& launch);
  void set_conditions(Schedule schedule, Fault fault);
  /// Whether the set fault is of this kind and for this call site.
  bool has_fault(Fault::Kind kind, Place place);

  // For the running thread.
  Thread& thread() { return threads_[running.thread]; }
  Operands& operands() { return operands_[running.thread / kLanes][running.thread % kLanes]; }
  const SharedMemory& shared_memory() const { return memory_->shared; }
  Schedule::Copies copies() const { return schedule_.copies; }
  void meet_in_block(Place place);
  void meet_in_warp(Operation operation, Place place);
  [[noreturn]] void fail(const char* primitive, Place place, const std::string& message) const;

  Counts counts;

 private:
  static constexpr int kMaximumSharedBytes = 227 << 10;

  void check(const Launch& launch) const;
  void run_blocks();
  void prepare_block(int block);
  void run_block();
  [[noreturn]] static void run_threads();
  void run_thread();
  void unwind();
  void set_error(const std::string& message);
  void start_waiting(Operation operation, Place place);
  void suspend();
  Fiber& next_fiber();
  Fiber& fiber(int thread) { return *block_fibers_[static_cast<std::size_t>(thread)]; }
  void operate(int warp, Operation operation, Place place);
  void require_agreement(int first_thread, int threads) const;

  Schedule schedule_;
  Fault fault_;
  std::vector<Place> fault_sites_;  // of the primitive with the fault, in the order of first reach

  const Launch* launch_ = nullptr;
  Fiber* host_ = nullptr;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> block_fibers_;
  std::vector<std::unique_ptr<BlockMemory>> memories_;
  char begin_order_ = 0, end_order_ = 0;  // of a launch, for ThreadSanitizer

  // Of the running block.
  Scheduler scheduler_{0};
  Thread threads_[kMaximumThreads];
  Operands operands_[kMaximumThreads / kLanes][kLanes];
  BlockMemory* memory_ = nullptr;
  int copy_delay_ = 1;  // random copies: one try in so many decisions of the scheduler
  int waiting_for_block_ = 0;
  int waiting_for_warp_[kMaximumThreads / kLanes] = {};
  int finished_ = 0;
  std::exception_ptr error_;
};

extern Machine machine;

}  // namespace zebra::kernels::emulation
