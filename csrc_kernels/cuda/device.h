#pragma once

// The primitives that the CUDA kernels are written in, and the only place where device code meets
// the machine. nvcc gets inline PTX (device_ptx.h); g++ gets the same functions on the CPU, one
// fiber per thread (tests/emulation/emulated_device.h), so that tests and sanitizers run the very
// source that ships. Kernels use nothing else of CUDA: no built-in variable, no intrinsic, no
// attribute.
//
// In namespace zebra::kernels::device:
//
//   int thread_index()
//       In the block, 0 .. threads - 1: blocks are one-dimensional.
//   int block_index_x(), block_index_y(), block_index_z()
//   std::byte* shared_memory()
//       The block's dynamic shared memory, aligned to 128 bytes.
//
//   void block_barrier()
//       All threads of the block meet; orders their memory accesses.
//   void warp_barrier()
//       The same for the 32 lanes of a warp.
//   T shuffle_xor(T value, int lane_mask)
//       T is float or int; lane l gets the value of lane l ^ lane_mask.
//
//   void copy_async(void* shared, const void* global, bool present)
//       16 bytes, both addresses aligned to 16. Zeros, and no read of `global`, unless present.
//   void commit_copies()
//       The thread's copies since the last commit are one group.
//   void wait_copies<N>()
//       All but the thread's N newest groups have arrived; other threads see them after a barrier.
//
//   void load_matrices(std::uint32_t (&m)[4], const void* row)
//       ldmatrix.x4: four 8 x 8 matrices of bfloat16 from shared memory. Lane l names row l % 8 of
//       matrix l / 8 (16 bytes, aligned to 16) and gets, of each matrix i, the elements
//       (l / 4, 2 (l % 4)) in the low and (l / 4, 2 (l % 4) + 1) in the high half of m[i].
//   void load_matrices_transposed(...)
//       The same of each matrix transposed.
//   void multiply_add(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, b1)
//       mma.sync.m16n8k16: C[16, 8] += A[16, 16] B[16, 8], bfloat16 with float32 sums. With
//       g = l / 4 and q = 2 (l % 4), lane l has
//         a[0] A[g, q .. q+1]      a[1] A[g+8, q .. q+1]
//         a[2] A[g, q+8 .. q+9]    a[3] A[g+8, q+8 .. q+9]
//         b0   B[q .. q+1, g]      b1   B[q+8 .. q+9, g]
//         c[0], c[1] C[g, q .. q+1]    c[2], c[3] C[g+8, q .. q+1]
//
//   float exp2(float x)
//       2 ulp; subnormals are 0; exp2(-inf) = 0.
//   float log2(float x)
//       To 2^-22, relative outside of (0.5, 2); log2(0) = -inf.
//   float reciprocal(float x)
//       1 ulp; subnormals are 0; reciprocal(0) = inf.
//   float square_root(float x)
//       To nearest, subnormals too.
//   float natural_log(float x)
//       2 ulp, subnormals too; natural_log(0) = -inf. Slow: for once a row, not once an element.
//   float fused_multiply_add(float a, float b, float c)
//       a b + c, rounded once. (Plain a * b + c may be.)
//   float from_bits(std::uint32_t), std::uint32_t to_bits(float)
//       The same 32 bits.
//   std::uint32_t pack_bfloat16(float low, float high)
//       To nearest even.
//   float low_bfloat16(std::uint32_t), high_bfloat16(std::uint32_t)
//   Words load_words(const void*), void store_words(void*, Words)
//       16 bytes at an aligned address, four 32-bit words w[4].
//
// and on the host:
//
//   int compute_capability()
//       Of the current device; 80 is 8.0.
//   void launch(kernel, Grid{x, y, z}, threads, shared_bytes, parameters, Stream)
//       Runs `kernel`, a function declared with ZEBRA_KERNEL(threads, blocks) that takes
//       `parameters` by value as ZEBRA_PARAMETER. std::runtime_error on refusal.
//
// Functions for the device carry ZEBRA_DEVICE.

#ifdef __CUDACC__
#include "device_ptx.h"
#else
#include "emulated_device.h"
#endif
