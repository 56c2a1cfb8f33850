#pragma once

#include <cstdint>
#include <optional>

#include "zebra_kernels/kernel.h"

namespace zebra::kernels {

// The middle of SwiGLU (Shazeer, arXiv 2002.05202) from one packed projection, forward and
// backward, on the CPU. gate_up is [rows, 2 width]: each row has the gates g, then the values u.
//
//   out = g sigmoid(g) u                                              [rows, width]
//   d_g = d_out u s (1 + g (1 - s)),  d_u = d_out g s,  s = sigmoid(g)
//
// Contiguous arrays of `type`; float32 between reading and writing, each result rounded once, to
// nearest even. The same bits on every call and for every number of threads. Gates below
// -87 count as -87 in the sigmoid, which so stays a normal number.

struct SwigluShape {
  std::int64_t rows = 0, width = 0;
  ElementType type = ElementType::kFloat32;
};

struct SwigluForward {
  SwigluShape shape;
  const void* gate_up = nullptr;
  void* out = nullptr;
};

struct SwigluBackward {
  SwigluShape shape;
  const void* gate_up = nullptr;
  const void* d_out = nullptr;
  void* d_gate_up = nullptr;  // [rows, 2 width]; may be gate_up
  /// [rows, width]: the forward's result once more, the same bits, so that nobody need keep it;
  /// may be d_out. Null: not wanted.
  void* out = nullptr;
};

/// Both throw std::invalid_argument with a sentence that says what is wrong, before they write.
void swiglu_forward(const SwigluForward& arguments, const ParallelFor& parallel_for,
                    std::optional<InstructionSet> instruction_set = std::nullopt);
void swiglu_backward(const SwigluBackward& arguments, const ParallelFor& parallel_for,
                     std::optional<InstructionSet> instruction_set = std::nullopt);

}  // namespace zebra::kernels
