#pragma once

#include <cstdint>
#include <optional>

#include "zebra_kernels/kernel.h"

namespace zebra::kernels {

// The gradient of an embedding, added to what is there, on the CPU: with tokens t[i] of N rows,
//
//   d_weight[t[i]] += d_out[i]     for all i, in float32, each token's rows in ascending i, then
//                                  their sum onto d_weight
//
// No atomics: whoever calls sorts the tokens first, and one task owns each token. The same bits on
// every call and for every number of threads.

struct EmbeddingBackward {
  std::int64_t rows = 0, width = 0, vocabulary = 0;
  ElementType type = ElementType::kFloat32;
  const std::int64_t* sorted_tokens = nullptr;  // [rows], ascending, each below `vocabulary`
  const std::int64_t* order = nullptr;  // [rows]: sorted_tokens[i] = tokens[order[i]], stable
  const void* d_out = nullptr;          // [rows, width] of `type`, contiguous
  float* d_weight = nullptr;            // [vocabulary, width], contiguous
};

/// Throws std::invalid_argument with a sentence that says what is wrong, before it writes anything.
void embedding_backward(const EmbeddingBackward& arguments, const ParallelFor& parallel_for,
                        std::optional<InstructionSet> instruction_set = std::nullopt);

}  // namespace zebra::kernels
