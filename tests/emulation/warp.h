#pragma once

#include <cstdint>

namespace zebra::kernels::emulation {

constexpr int kLanes = 32;

/// What a lane brings to a warp-wide operation, and where it wants the result.
struct Operands {
  // shuffle_xor
  std::uint32_t value;
  int lane_mask;
  // load_matrices
  const void* row;
  std::uint32_t* matrices;
  // multiply_add
  float* c;
  const std::uint32_t* a;
  std::uint32_t b[2];
};

// The operations for all lanes of a warp at once, as device.h specifies them, or with two
// registers of a matrix swapped.
void shuffle_xor(Operands (&lanes)[kLanes]);
void load_matrices(const Operands (&lanes)[kLanes]);
void load_matrices_transposed(const Operands (&lanes)[kLanes]);
void multiply_add(const Operands (&lanes)[kLanes], bool swap_a, bool swap_b);

/// How many accesses to shared memory the four matrices take beyond one each: two different rows of
/// a matrix in the same banks cannot be read at once.
int conflicts(const Operands (&lanes)[kLanes]);

}  // namespace zebra::kernels::emulation
