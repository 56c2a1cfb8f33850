#pragma once

#include <cstdint>
#include <optional>

#include "zebra_kernels/kernel.h"

namespace zebra::kernels {

// Softmax cross-entropy of rows of logits, with its gradient in place of the logits, on the CPU.
// logits is [rows, vocabulary], contiguous, of `type`; targets [rows], each below `vocabulary`, or
// kNoTarget. With l a row's logits and y its target:
//
//   log_sum_exp   = ln(sum_j exp(l_j))
//   cross_entropy = log_sum_exp - l_y                                 0 without a target
//   gradient_j    = exp(l_j - log_sum_exp) (1 + 2 z_loss log_sum_exp) - [j = y]
//                   of cross_entropy + z_loss log_sum_exp^2; 0 without a target
//
// (z_loss: PaLM, arXiv 2204.02311). float32 between reading and writing; the gradient is rounded
// once to `type`, to nearest even. A row with a NaN or +infinity gives NaN in its own
// row; -infinity may stand beside finite logits. The same bits on every call and for every number
// of threads.

constexpr std::int64_t kNoTarget = -100;

struct CrossEntropy {
  std::int64_t rows = 0, vocabulary = 0;
  ElementType type = ElementType::kFloat32;
  const void* logits = nullptr;
  const std::int64_t* targets = nullptr;
  float z_loss = 0.0F;
  float* cross_entropy = nullptr;  // [rows]
  float* log_sum_exp = nullptr;    // [rows], written with and without a target
  void* gradient = nullptr;        // [rows, vocabulary]; may be logits; null: not wanted
};

/// Throws std::invalid_argument with a sentence that says what is wrong (a target out of range
/// among it), before it writes anything.
void cross_entropy(const CrossEntropy& arguments, const ParallelFor& parallel_for,
                   std::optional<InstructionSet> instruction_set = std::nullopt);

}  // namespace zebra::kernels
