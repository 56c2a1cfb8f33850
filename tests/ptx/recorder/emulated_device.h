#pragma once

// A device.h that runs nothing: `launch` records what the host code would launch, for the
// interpreter to run. The primitives are there so that kernels compile.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <typeinfo>

#define ZEBRA_DEVICE inline
#define ZEBRA_KERNEL(threads, blocks) inline void
#define ZEBRA_PARAMETER const

struct CUstream_st;

namespace zebra::kernels::device {

inline int thread_index() { return 0; }
inline int block_index_x() { return 0; }
inline int block_index_y() { return 0; }
inline int block_index_z() { return 0; }
inline std::byte* shared_memory() { return nullptr; }
inline void block_barrier() {}
inline void warp_barrier() {}
template <class T>
T shuffle_xor(T value, int) {
  return value;
}
inline void copy_async(void*, const void*, bool) {}
inline void commit_copies() {}
template <int kPending>
void wait_copies() {}
inline void load_matrices(std::uint32_t (&)[4], const void*) {}
inline void load_matrices_transposed(std::uint32_t (&)[4], const void*) {}
inline void multiply_add(float (&)[4], const std::uint32_t (&)[4], std::uint32_t, std::uint32_t) {}
inline float exp2(float x) { return x; }
inline float log2(float x) { return x; }
inline float reciprocal(float x) { return x; }
inline float square_root(float x) { return x; }
inline float natural_log(float x) { return x; }
inline float fused_multiply_add(float a, float, float) { return a; }
inline float from_bits(std::uint32_t) { return 0; }
inline std::uint32_t to_bits(float) { return 0; }
inline std::uint32_t pack_bfloat16(float, float) { return 0; }
inline float low_bfloat16(std::uint32_t) { return 0; }
inline float high_bfloat16(std::uint32_t) { return 0; }
struct alignas(16) Words {
  std::uint32_t w[4];
};
inline Words load_words(const void*) { return {}; }
inline void store_words(void*, Words) {}

struct Grid {
  int x = 1, y = 1, z = 1;
};
using Stream = CUstream_st*;

inline int compute_capability() { return 80; }

/// Prints one line: the (mangled) type of the parameters, which no two kernels of a head size
/// share, grid, threads, bytes of shared memory, and the parameters in hexadecimal digits.
template <class Parameters>
void launch(void (*)(Parameters), Grid grid, int threads, int shared_bytes, Parameters parameters,
            Stream) {
  std::printf("%s %d %d %d %d %d ", typeid(Parameters).name(), grid.x, grid.y, grid.z, threads,
              shared_bytes);
  const auto* bytes = reinterpret_cast<const unsigned char*>(&parameters);
  for (std::size_t i = 0; i < sizeof(Parameters); ++i) std::printf("%02x", bytes[i]);
  std::printf("\n");
}

}  // namespace zebra::kernels::device
