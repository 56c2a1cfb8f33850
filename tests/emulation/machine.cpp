#include "emulation/machine.h"

#include <algorithm>
#include <stdexcept>

#include "emulation/diagnosis.h"
#include "emulation/sanitizer.h"

namespace zebra::kernels::emulation {

Machine machine;
Running running;

namespace {

/// Thrown into the threads that wait when another one has failed.
struct Cancelled {};

std::string block_name() {
  return "block (" + std::to_string(running.block_x) + ", " + std::to_string(running.block_y) +
         ", " + std::to_string(running.block_z) + ")";
}

}  // namespace

void Machine::set_conditions(Schedule schedule, Fault fault) {
  schedule_ = schedule;
  fault_ = fault;
  fault_sites_.clear();
}

bool Machine::has_fault(Fault::Kind kind, Place place) {
  if (fault_.kind != kind) return false;
  auto site = std::find_if(fault_sites_.begin(), fault_sites_.end(),
                           [&](const Place& known) { return same(known, place); });
  if (site == fault_sites_.end()) site = fault_sites_.insert(site, place);
  const bool hit = fault_.site == Fault::kEverySite || fault_.site == site - fault_sites_.begin();
  if (hit) ++counts.faults;
  return hit;
}

void Machine::check(const Launch& launch) const {
  const auto refuse = [](const char* why) {
    throw std::runtime_error(std::string("a CUDA kernel: the launch failed: ") + why);
  };
  if (host_ != nullptr) refuse("another one is running");
  if (launch.grid_x < 1 || launch.grid_y < 1 || launch.grid_z < 1) refuse("an empty grid");
  if (launch.grid_y > 65535 || launch.grid_z > 65535) refuse("too large a grid");
  if (launch.threads < kLanes || launch.threads > kMaximumThreads || launch.threads % kLanes != 0)
    refuse("the threads of a block must be 32, 64, ... 1024");
  if (launch.shared_bytes < 0 || launch.shared_bytes > kMaximumSharedBytes)
    refuse("too much shared memory");
  // ThreadSanitizer has numbers for 8128 threads at once.
  if (sanitizer::kThread &&
      std::int64_t{launch.grid_x} * launch.grid_y * launch.grid_z * launch.threads > 8000)
    refuse("too many threads for ThreadSanitizer");
}

void Machine::run(const Launch& launch) {
  const sanitizer::Unobserved emulator;
  check(launch);
  Fiber host;
  host_ = &host;
  launch_ = &launch;
  error_ = nullptr;
  sanitizer::release(&begin_order_);
  try {
    run_blocks();
  } catch (...) {
    error_ = std::current_exception();  // no memory for a block
  }
  if (sanitizer::take_race()) set_error("data race");
  sanitizer::acquire(&end_order_);
  if (sanitizer::kThread || error_) memories_.clear();
  host_ = nullptr;
  if (error_) std::rethrow_exception(error_);
}

void Machine::run_blocks() {
  scheduler_ = Scheduler(schedule_.seed);
  int blocks = 0;
  for (int z = 0; z < launch_->grid_z; ++z)
    for (int y = 0; y < launch_->grid_y; ++y)
      for (int x = 0; x < launch_->grid_x && !error_; ++x) {
        running.block_x = x, running.block_y = y, running.block_z = z;
        prepare_block(blocks++);
        run_block();
      }
}

void Machine::prepare_block(int block) {
  const auto shared_bytes = static_cast<std::size_t>(launch_->shared_bytes);
  // For ThreadSanitizer, no two threads of the grid may be one fiber, nor share memory by accident.
  const auto first_fiber =
      static_cast<std::size_t>(sanitizer::kThread ? block * launch_->threads : 0);
  if (!sanitizer::kThread && !memories_.empty() && memories_[0]->shared.bytes() != shared_bytes)
    memories_.clear();
  if (sanitizer::kThread || memories_.empty())
    memories_.push_back(std::make_unique<BlockMemory>(shared_bytes));
  memory_ = memories_.back().get();
  memory_->shared.fill_with_nan();
  running.shared_memory = memory_->shared.begin();

  scheduler_.clear();
  copy_delay_ = 1 << scheduler_.random().below(12);
  waiting_for_block_ = finished_ = 0;
  std::fill(std::begin(waiting_for_warp_), std::end(waiting_for_warp_), 0);
  block_fibers_.clear();
  for (int i = 0; i < launch_->threads; ++i) {
    threads_[i].state = Thread::State::kReady;
    threads_[i].started = false;
    threads_[i].copies.clear();
    threads_[i].block_barriers = threads_[i].warp_barriers = 0;
    const auto fiber = first_fiber + static_cast<std::size_t>(i);
    if (fiber == fibers_.size()) fibers_.push_back(std::make_unique<Fiber>(run_threads));
    block_fibers_.push_back(fibers_[fiber].get());
    scheduler_.set_ready(i);
  }
}

void Machine::run_block() {
  ++counts.blocks;
  Fiber::switch_to(*host_, next_fiber());
  if (!error_ && finished_ < launch_->threads)
    set_error("threads of " + block_name() +
              " wait for ever: " + describe(threads_, 0, launch_->threads / kLanes));
  if (error_) unwind();
  if (memory_->shared.has_writes_outside())
    set_error(block_name() + " wrote beyond its shared memory");
}

/// Lets every thread leave the kernel by an exception.
void Machine::unwind() {
  for (int i = 0; i < launch_->threads; ++i) {
    if (!threads_[i].started || threads_[i].state == Thread::State::kFinished) continue;
    running.thread = i;
    Fiber::switch_to(*host_, fiber(i));
  }
}

/// What a fiber does: one thread after another, each in another block.
void Machine::run_threads() {
  Fiber::begin();
  for (;;) {
    sanitizer::ignore_accesses();
    Fiber& own = machine.fiber(running.thread);
    machine.run_thread();
    Fiber& next = machine.next_fiber();
    sanitizer::observe_accesses();  // ThreadSanitizer wants a fiber to end as it began
    Fiber::switch_to(own, next);
  }
}

void Machine::run_thread() {
  Thread& self = thread();
  const int index = running.thread;
  self.started = true;
  sanitizer::acquire(&begin_order_);
  try {
    {
      const sanitizer::Observed kernel;
      launch_->run_thread(launch_->call);
    }
    if (!self.copies.empty())
      fail("copy_async", self.copies.place(), "the thread ends without waiting for the copy");
  } catch (const Cancelled&) {
  } catch (...) {
    if (!error_) error_ = std::current_exception();
  }
  sanitizer::release(&end_order_);
  self.state = Thread::State::kFinished;
  scheduler_.set_waiting(index);
  ++finished_;
}

/// The fiber of the thread that shall run now, or the host's if none can or one has failed.
Fiber& Machine::next_fiber() {
  Random& random = scheduler_.random();
  if (schedule_.copies == Schedule::Copies::kRandom && random.below(copy_delay_) == 0)
    threads_[random.below(launch_->threads)].copies.perform_any(random);
  if (sanitizer::take_race()) set_error("data race");
  const int next = error_ ? Scheduler::kNone : scheduler_.choose();
  if (next == Scheduler::kNone) return *host_;
  running.thread = next;
  return fiber(next);
}

/// Lets other threads run until the running one can go on.
void Machine::suspend() {
  Fiber& own = fiber(running.thread);
  Fiber& next = next_fiber();
  if (&next == &own) return;
  Fiber::switch_to(own, next);
  if (error_) throw Cancelled();
}

void Machine::start_waiting(Operation operation, Place place) {
  Thread& self = thread();
  self.state = Thread::State::kWaiting;
  self.operation = operation;
  self.place = place;
  scheduler_.set_waiting(running.thread);
}

void Machine::meet_in_block(Place place) {
  start_waiting(Operation::kBlockBarrier, place);
  char& order = memory_->block_order[thread().block_barriers++ % 2];
  sanitizer::release(&order);
  if (++waiting_for_block_ == launch_->threads) {
    require_agreement(0, launch_->threads);
    waiting_for_block_ = 0;
    for (int i = 0; i < launch_->threads; ++i) threads_[i].state = Thread::State::kReady;
    for (int warp = 0; warp < launch_->threads / kLanes; ++warp) scheduler_.set_warp_ready(warp);
    ++counts.block_barriers;
  }
  suspend();
  sanitizer::acquire(&order);
}

void Machine::meet_in_warp(Operation operation, Place place) {
  start_waiting(operation, place);
  const int warp = running.thread / kLanes;
  char& order = memory_->warp_order[warp][thread().warp_barriers % 2];
  if (operation == Operation::kWarpBarrier) {
    ++thread().warp_barriers;
    sanitizer::release(&order);
  }
  if (++waiting_for_warp_[warp] == kLanes) {
    require_agreement(warp * kLanes, kLanes);
    waiting_for_warp_[warp] = 0;
    operate(warp, operation, place);
    for (int lane = 0; lane < kLanes; ++lane)
      threads_[warp * kLanes + lane].state = Thread::State::kReady;
    scheduler_.set_warp_ready(warp);
  }
  suspend();
  if (operation == Operation::kWarpBarrier) sanitizer::acquire(&order);
}

void Machine::operate(int warp, Operation operation, Place place) {
  Operands(&lanes)[kLanes] = operands_[warp];
  switch (operation) {
    case Operation::kBlockBarrier:
      break;
    case Operation::kWarpBarrier:
      ++counts.warp_barriers;
      break;
    case Operation::kShuffle:
      for (const Operands& lane : lanes)
        if (lane.lane_mask != lanes[0].lane_mask)
          fail("shuffle_xor", place, "the lanes of the warp have different masks");
      shuffle_xor(lanes);
      ++counts.shuffles;
      break;
    case Operation::kLoadMatrices:
      load_matrices(lanes);
      break;
    case Operation::kLoadMatricesTransposed:
      load_matrices_transposed(lanes);
      break;
    case Operation::kMultiplyAdd:
      multiply_add(lanes, has_fault(Fault::Kind::kSwapA, place),
                   has_fault(Fault::Kind::kSwapB, place));
      ++counts.multiply_adds;
      break;
  }
  if (operation == Operation::kLoadMatrices || operation == Operation::kLoadMatricesTransposed) {
    ++counts.matrix_loads;
    counts.matrix_load_conflicts += conflicts(lanes);
  }
}

void Machine::set_error(const std::string& message) {
  if (!error_) error_ = std::make_exception_ptr(std::logic_error(message));
}

/// Threads that wait for each other must do so in one operation at one place of the source.
void Machine::require_agreement(int first, int threads) const {
  const Thread& one = threads_[first];
  for (int i = first + 1; i < first + threads; ++i)
    if (threads_[i].operation != one.operation || !same(threads_[i].place, one.place))
      throw std::logic_error("threads of " + block_name() + " do not meet: " +
                             describe(threads_, first / kLanes, threads / kLanes));
}

void Machine::fail(const char* primitive, Place place, const std::string& message) const {
  throw std::logic_error(std::string(primitive) + " at " + name(place) + ", thread " +
                         std::to_string(running.thread) + " of " + block_name() + ": " + message);
}

}  // namespace zebra::kernels::emulation
