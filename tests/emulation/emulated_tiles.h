#pragma once

// The tile instructions of csrc_kernels/cpu/amx/tiles.h on a processor without AMX:
// the same numbers, bit for bit, and std::logic_error for what a processor would refuse. Addresses
// are read and written by plain code, so that sanitizers see them.

#include <cstdint>

namespace zebra::kernels::emulated_tiles {

/// Whether the emulation runs here. It is written in AVX2.
bool allowed();

void configure();
void release();
/// Of the calling thread: whether it has configured tiles, and what it has multiplied so far.
bool are_configured();
std::int64_t products();

void load_tile(int tile, const void* rows, std::int64_t stride);
void store_tile(int tile, void* rows, std::int64_t stride);
void zero_tile(int tile);
void multiply_add_tiles(int sum, int left, int right);

template <int kTile>
void load(const void* rows, std::int64_t stride) {
  load_tile(kTile, rows, stride);
}
template <int kTile>
void store(void* rows, std::int64_t stride) {
  store_tile(kTile, rows, stride);
}
template <int kTile>
void zero() {
  zero_tile(kTile);
}
template <int kSum, int kLeft, int kRight>
void multiply_add() {
  multiply_add_tiles(kSum, kLeft, kRight);
}

}  // namespace zebra::kernels::emulated_tiles
