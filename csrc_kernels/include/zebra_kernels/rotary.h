#pragma once

#include <cstdint>
#include <optional>

#include "zebra_kernels/local_attention.h"

namespace zebra::kernels {

// Rotary position embedding of a packed projection on the CPU, for attention kernels that do not
// rotate themselves. The heads of x and out are rotated as RotaryTable says; float32 between
// reading and writing, rounded once, to nearest even. The table's pointers must not be null. The
// same bits on every call.

struct Rotary {
  std::int64_t batch = 0, length = 0, heads = 0, head_size = 0;  // head_size even
  ElementType type = ElementType::kFloat32;
  HeadArray x;
  MutableHeadArray out;  // may be x, with its strides
  RotaryTable table;
  bool inverse = false;  // by the opposite angles: the backward
};

/// Throws std::invalid_argument with a sentence that says what is wrong, before it writes anything.
void rotary(const Rotary& arguments, const ParallelFor& parallel_for,
            std::optional<InstructionSet> instruction_set = std::nullopt);

}  // namespace zebra::kernels
