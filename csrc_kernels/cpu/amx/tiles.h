#pragma once

// The six tile instructions that the AMX kernels are written in, and the only place where these
// meet the machine. Tests of processors that lack them define ZEBRA_EMULATED_TILES and get the same
// functions from tests/emulation/emulated_tiles.h, so that the very source of the kernels runs.
//
// In namespace zebra::kernels::tiles, with tiles 0 .. 7 of 16 rows of 64 bytes:
//
//   bool allowed()
//       Whether this processor has them and the system lets this process use them. Asks the system
//       for it once.
//   void configure()
//       Before any other, in each thread; all tiles are zeros.
//   void release()
//       Afterwards: a thread that keeps its tiles makes every switch to another one dearer, and
//       libraries that share the thread configure their own.
//   void load<kTile>(const void* rows, std::int64_t stride), store<kTile>(void* rows, stride)
//       16 rows of 64 bytes, `stride` bytes apart.
//   void zero<kTile>()
//   void multiply_add<kSum, kLeft, kRight>()
//       Sum [16, 16] float32 += Left [16, 32] Right [32, 16]. A row of Left holds 32 bfloat16; row
//       k of Right holds elements 2 k and 2 k + 1 of each column. Products of even elements are
//       summed by fused multiply-adds in order, those of odd ones likewise, then both sums are
//       added and the result to Sum, each rounded to nearest even; subnormal numbers are zero.

#ifdef ZEBRA_EMULATED_TILES

#include "emulated_tiles.h"

namespace zebra::kernels {
namespace tiles = emulated_tiles;
}

#else

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace zebra::kernels::tiles {
namespace {

inline bool allowed() {
  static const bool is_allowed = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
    if ((d & bit_AMX_TILE) == 0 || (d & bit_AMX_BF16) == 0) return false;
    // Linux gives tiles to no process that does not ask, and refuses where it does not know them.
    constexpr long kRequestPermission = 0x1023, kTileData = 18;
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  return is_allowed;
}

inline void configure() {
  struct alignas(64) Configuration {
    std::uint8_t palette, start_row, reserved[14];
    std::uint16_t row_bytes[16];
    std::uint8_t rows[16];
  };
  static_assert(sizeof(Configuration) == 64);
  Configuration configuration = {};
  configuration.palette = 1;
  for (int tile = 0; tile < 8; ++tile) {
    configuration.row_bytes[tile] = 64;
    configuration.rows[tile] = 16;
  }
  asm volatile("ldtilecfg %0" : : "m"(configuration));
}

inline void release() { asm volatile("tilerelease" : : : "memory"); }

template <int kTile>
inline void load(const void* rows, std::int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(rows), "r"(stride), "i"(kTile) : "memory");
}

template <int kTile>
inline void store(void* rows, std::int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(rows), "r"(stride), "i"(kTile) : "memory");
}

template <int kTile>
inline void zero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(kTile));
}

template <int kSum, int kLeft, int kRight>
inline void multiply_add() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kLeft), "i"(kRight));
}

}  // namespace
}  // namespace zebra::kernels::tiles

#endif
