#pragma once

// Tile instructions that do nothing, in place of those of csrc_kernels/cpu/amx/tiles.h: what is
// left of the time of a kernel is that of all its other instructions.

#include <cstdint>

namespace zebra::kernels::emulated_tiles {

inline bool allowed() { return true; }
inline void configure() {}
inline void release() {}
template <int kTile>
void load(const void*, std::int64_t) {}
template <int kTile>
void store(void*, std::int64_t) {}
template <int kTile>
void zero() {}
template <int kSum, int kLeft, int kRight>
void multiply_add() {}

}  // namespace zebra::kernels::emulated_tiles
