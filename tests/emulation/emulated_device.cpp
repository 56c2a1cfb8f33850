#include "emulation/emulated_device.h"

#include <cmath>
#include <limits>
#include <utility>

#include "emulation/diagnosis.h"
#include "emulation/machine.h"
#include "emulation/sanitizer.h"

namespace zebra::kernels {
namespace emulation {
namespace {

bool is_aligned(const void* address) {
  return reinterpret_cast<std::uintptr_t>(address) % Copies::kBytes == 0;
}

void require_in_shared_memory(const void* address, const char* primitive, Place place) {
  require_aligned(address, primitive, place);
  if (!machine.shared_memory().contains(address, Copies::kBytes))
    machine.fail(primitive, place, "the address is outside the block's shared memory");
}

float flushed(float x) {
  return std::abs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0F, x) : x;
}

void load(std::uint32_t* matrices, const void* row, Operation operation, Place place) {
  const sanitizer::Unobserved emulator;
  require_in_shared_memory(row, name(operation), place);
  {
    const sanitizer::Observed kernel;
    sanitizer::note_read(row, Copies::kBytes);
  }
  machine.operands().row = row;
  machine.operands().matrices = matrices;
  machine.meet_in_warp(operation, place);
}

/// To nearest, ties to even; NaN is 0x7fff, as on the device.
std::uint32_t to_bfloat16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return std::isnan(x) ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

}  // namespace

Conditions::Conditions(Schedule schedule, Fault fault) { machine.set_conditions(schedule, fault); }
Conditions::~Conditions() { machine.set_conditions({}, {}); }

Counts take_counts() { return std::exchange(machine.counts, {}); }

void run(const Launch& launch) { machine.run(launch); }

void require_aligned(const void* address, const char* primitive, Place place) {
  if (is_aligned(address)) return;
  const sanitizer::Unobserved emulator;
  machine.fail(primitive, place, "the address is not aligned to 16 bytes");
}

std::uint32_t shuffle_xor(std::uint32_t value, int lane_mask, Place place) {
  const sanitizer::Unobserved emulator;
  if (lane_mask < 1 || lane_mask >= kLanes)
    machine.fail("shuffle_xor", place,
                 "lane_mask " + std::to_string(lane_mask) + " is not in 1 .. 31");
  machine.operands().value = value;
  machine.operands().lane_mask = lane_mask;
  machine.meet_in_warp(Operation::kShuffle, place);
  return machine.operands().value;
}

void wait_copies(int pending, Place place) {
  const sanitizer::Unobserved emulator;
  if (machine.has_fault(Fault::Kind::kSkipWait, place)) return;
  if (machine.has_fault(Fault::Kind::kWeakWait, place)) ++pending;
  machine.thread().copies.wait(pending);
}

}  // namespace emulation

namespace device {

using emulation::Fault;
using emulation::machine;
using emulation::Operation;
using emulation::Place;
using emulation::sanitizer::Unobserved;

void block_barrier(Place place) {
  const Unobserved emulator;
  if (!machine.has_fault(Fault::Kind::kSkipBlockBarrier, place)) machine.meet_in_block(place);
}

void warp_barrier(Place place) {
  const Unobserved emulator;
  if (!machine.has_fault(Fault::Kind::kSkipWarpBarrier, place))
    machine.meet_in_warp(Operation::kWarpBarrier, place);
}

void copy_async(void* shared, const void* global, bool present, Place place) {
  const Unobserved emulator;
  emulation::require_in_shared_memory(shared, "copy_async", place);
  emulation::require_aligned(global, "copy_async", place);
  ++machine.counts.copies;
  machine.thread().copies.issue(static_cast<std::byte*>(shared), present ? global : nullptr, place,
                                machine.copies());
}

void commit_copies(Place place) {
  const Unobserved emulator;
  if (!machine.has_fault(Fault::Kind::kDropCommit, place)) machine.thread().copies.commit();
}

void load_matrices(std::uint32_t (&m)[4], const void* row, Place place) {
  emulation::load(m, row, Operation::kLoadMatrices, place);
}

void load_matrices_transposed(std::uint32_t (&m)[4], const void* row, Place place) {
  emulation::load(m, row, Operation::kLoadMatricesTransposed, place);
}

void multiply_add(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1,
                  Place place) {
  const Unobserved emulator;
  auto& operands = machine.operands();
  operands.c = c;
  operands.a = a;
  operands.b[0] = b0;
  operands.b[1] = b1;
  machine.meet_in_warp(Operation::kMultiplyAdd, place);
}

float exp2(float x) {
  const Unobserved emulator;
  ++machine.counts.exp2s;
  return emulation::flushed(std::exp2(x));
}

float log2(float x) {
  const Unobserved emulator;
  ++machine.counts.log2s;
  return std::log2(emulation::flushed(x));
}

float reciprocal(float x) {
  const Unobserved emulator;
  ++machine.counts.reciprocals;
  return emulation::flushed(1.0F / emulation::flushed(x));
}

std::uint32_t pack_bfloat16(float low, float high) {
  return emulation::to_bfloat16(low) | emulation::to_bfloat16(high) << 16;
}

}  // namespace device
}  // namespace zebra::kernels
