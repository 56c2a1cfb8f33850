#pragma once

// The primitives of device.h for nvcc.

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "device_launch.h"

#define ZEBRA_DEVICE __device__ __forceinline__
#define ZEBRA_KERNEL(threads, blocks) __global__ void __launch_bounds__(threads, blocks)
#define ZEBRA_PARAMETER __grid_constant__ const

namespace zebra::kernels::device {

ZEBRA_DEVICE int thread_index() { return static_cast<int>(threadIdx.x); }
ZEBRA_DEVICE int block_index_x() { return static_cast<int>(blockIdx.x); }
ZEBRA_DEVICE int block_index_y() { return static_cast<int>(blockIdx.y); }
ZEBRA_DEVICE int block_index_z() { return static_cast<int>(blockIdx.z); }

ZEBRA_DEVICE std::byte* shared_memory() {
  extern __shared__ __align__(128) unsigned char zebra_shared_memory[];
  return reinterpret_cast<std::byte*>(zebra_shared_memory);
}

ZEBRA_DEVICE void block_barrier() { __syncthreads(); }
ZEBRA_DEVICE void warp_barrier() { __syncwarp(); }

ZEBRA_DEVICE float shuffle_xor(float value, int lane_mask) {
  return __shfl_xor_sync(0xffffffffu, value, lane_mask);
}
ZEBRA_DEVICE int shuffle_xor(int value, int lane_mask) {
  return __shfl_xor_sync(0xffffffffu, value, lane_mask);
}

ZEBRA_DEVICE std::uint32_t shared_address(const void* shared) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
}

ZEBRA_DEVICE void copy_async(void* shared, const void* global, bool present) {
  const int bytes = present ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)),
               "l"(__cvta_generic_to_global(global)), "r"(bytes)
               : "memory");
}
ZEBRA_DEVICE void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kPending>
ZEBRA_DEVICE void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

ZEBRA_DEVICE void load_matrices(std::uint32_t (&m)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
               : "r"(shared_address(row))
               : "memory");
}
ZEBRA_DEVICE void load_matrices_transposed(std::uint32_t (&m)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
               : "r"(shared_address(row))
               : "memory");
}
ZEBRA_DEVICE void multiply_add(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                               std::uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

ZEBRA_DEVICE float exp2(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}
ZEBRA_DEVICE float log2(float x) {
  float result;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

ZEBRA_DEVICE float reciprocal(float x) {
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

ZEBRA_DEVICE float square_root(float x) {
  float result;
  asm("sqrt.rn.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}
ZEBRA_DEVICE float natural_log(float x) { return ::logf(x); }
ZEBRA_DEVICE float fused_multiply_add(float a, float b, float c) {
  float result;
  asm("fma.rn.f32 %0, %1, %2, %3;" : "=f"(result) : "f"(a), "f"(b), "f"(c));
  return result;
}

ZEBRA_DEVICE float from_bits(std::uint32_t bits) { return __uint_as_float(bits); }
ZEBRA_DEVICE std::uint32_t to_bits(float x) { return __float_as_uint(x); }

ZEBRA_DEVICE std::uint32_t pack_bfloat16(float low, float high) {
  std::uint32_t result;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
}
ZEBRA_DEVICE float low_bfloat16(std::uint32_t pair) { return __uint_as_float(pair << 16); }
ZEBRA_DEVICE float high_bfloat16(std::uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }

struct alignas(16) Words {
  std::uint32_t w[4];
};
ZEBRA_DEVICE Words load_words(const void* address) { return *static_cast<const Words*>(address); }
ZEBRA_DEVICE void store_words(void* address, Words words) { *static_cast<Words*>(address) = words; }

}  // namespace zebra::kernels::device
