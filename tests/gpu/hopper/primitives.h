#pragma once

// The primitives of Hopper that hopper_primitives asks about, as inline PTX: barriers in shared
// memory, the tensor memory accelerator (TMA), products of warpgroups (wgmma), registers that move
// between warpgroups. Every wait is bounded: a wrong idea ends in a message, not in a hang.

#include <cstdint>

#include "device.h"

namespace zebra::hopper {

using kernels::device::shared_address;

/// A barrier in shared memory (mbarrier), 8 bytes.
using Barrier = std::uint64_t;

ZEBRA_DEVICE void barrier_init(Barrier* barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(arrivals)
               : "memory");
}
/// Makes initialised barriers visible to the TMA; a block barrier must follow.
ZEBRA_DEVICE void fence_barrier_init() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
ZEBRA_DEVICE void arrive(Barrier* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
               : "memory");
}
/// Arrives, and lets the phase wait for so many bytes too.
ZEBRA_DEVICE void arrive_expect(Barrier* barrier, int bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
      "r"(bytes)
      : "memory");
}
/// Whether the phase of that parity is complete.
ZEBRA_DEVICE bool try_wait(Barrier* barrier, int parity) {
  std::uint32_t done;
  asm volatile(
      "{\n.reg .pred p;\n"
      "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
      "selp.u32 %0, 1, 0, p;\n}"
      : "=r"(done)
      : "r"(shared_address(barrier)), "r"(parity)
      : "memory");
  return done != 0;
}
ZEBRA_DEVICE std::uint64_t nanoseconds() {
  std::uint64_t time;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(time));
  return time;
}
/// False where it is not complete after half a second.
ZEBRA_DEVICE bool wait(Barrier* barrier, int parity) {
  if (try_wait(barrier, parity)) return true;
  const auto begin = nanoseconds();
  do {
    if (try_wait(barrier, parity)) return true;
  } while (nanoseconds() - begin < 500000000u);
  return false;
}

/// 128 bytes that describe an array to the TMA; a kernel parameter (see tensor_map.h).
struct alignas(64) TensorMap {
  std::uint64_t words[16];
};

/// Columns x, rows y of one box to shared memory; its bytes count on the barrier.
ZEBRA_DEVICE void load_box(void* shared, const TensorMap* map, int x, int y, Barrier* barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3}], [%4];" ::"r"(shared_address(shared)),
      "l"(map), "r"(x), "r"(y), "r"(shared_address(barrier))
      : "memory");
}
ZEBRA_DEVICE void load_box(void* shared, const TensorMap* map, int x, int y, int z,
                           Barrier* barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3, %4}], [%5];" ::"r"(shared_address(shared)),
      "l"(map), "r"(x), "r"(y), "r"(z), "r"(shared_address(barrier))
      : "memory");
}
/// Without a tensor map: `bytes` and both addresses are multiples of 16.
ZEBRA_DEVICE void load_bytes(void* shared, const void* global, int bytes, Barrier* barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1], %2, [%3];" ::"r"(shared_address(shared)),
      "l"(__cvta_generic_to_global(global)), "r"(bytes), "r"(shared_address(barrier))
      : "memory");
}
ZEBRA_DEVICE void store_box(const TensorMap* map, int x, int y, const void* shared) {
  asm volatile(
      "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%1, %2}], [%3];" ::"l"(map),
      "r"(x), "r"(y), "r"(shared_address(shared))
      : "memory");
}
ZEBRA_DEVICE void add_box(const TensorMap* map, int x, int y, const void* shared) {
  asm volatile(
      "cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.bulk_group [%0, {%1, %2}], "
      "[%3];" ::"l"(map),
      "r"(x), "r"(y), "r"(shared_address(shared))
      : "memory");
}
/// The thread's stores so far have been written.
ZEBRA_DEVICE void finish_stores() {
  asm volatile("cp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;" ::: "memory");
}
/// What this thread wrote to shared memory is visible to TMA and wgmma after the next barrier.
ZEBRA_DEVICE void fence_async_proxy() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/// How 16-byte chunks of shared memory are permuted; the values of a descriptor's bits 62 and 63.
enum class Swizzle : int { kNone = 0, k128 = 1, k64 = 2, k32 = 3 };

/// Bytes of a row of the permuted tile; 16 without one.
__host__ __device__ constexpr int span_of(Swizzle swizzle) {
  return swizzle == Swizzle::k128  ? 128
         : swizzle == Swizzle::k64 ? 64
         : swizzle == Swizzle::k32 ? 32
                                   : 16;
}
/// Where the byte at `offset` of a tile that is aligned to 1024 lies.
__host__ __device__ constexpr int swizzled(int offset, Swizzle swizzle) {
  return offset ^ ((offset >> 3) & (span_of(swizzle) - 16));
}

/// Of a tile in shared memory for wgmma. Offsets in bytes, multiples of 16.
ZEBRA_DEVICE std::uint64_t descriptor(const void* shared, int leading_offset, int stride_offset,
                                      Swizzle swizzle) {
  const auto field = [](int bytes) { return static_cast<std::uint64_t>((bytes >> 4) & 0x3fff); };
  return field(static_cast<int>(shared_address(shared))) | field(leading_offset) << 16 |
         field(stride_offset) << 32 | static_cast<std::uint64_t>(swizzle) << 62;
}

ZEBRA_DEVICE void product_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
ZEBRA_DEVICE void commit_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// All but the warpgroup's kPending newest groups of products are done.
template <int kPending>
ZEBRA_DEVICE void wait_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

/// Of this thread's warpgroup, from now on; all its threads call it.
template <int kRegisters>
ZEBRA_DEVICE void decrease_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
ZEBRA_DEVICE void increase_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
/// `threads` threads meet at barrier `id` (1 .. 15; 0 is the block's).
ZEBRA_DEVICE void named_barrier(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

}  // namespace zebra::hopper
