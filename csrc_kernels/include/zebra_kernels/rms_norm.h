#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "zebra_kernels/kernel.h"

namespace zebra::kernels {

// RMSNorm (Zhang and Sennrich, arXiv 1910.07467) of the residual stream, with the addition that
// comes before it, forward and backward, on the CPU. Arrays are [rows, width], contiguous, of
// `type`; weight is [width] of `type`.
//
//   sum         = x + added                      rounded to `type`; x itself without `added`
//   inverse_rms = 1 / sqrt(mean(sum^2) + eps)    of the rounded sum, one per row
//   out         = sum inverse_rms weight
//
// and with d = d_out weight, n = sum inverse_rms:
//   d_x      = d_sum + inverse_rms (d - n mean(d n))     d_sum: what reaches `sum` from elsewhere
//   d_weight = the sum over rows of d_out n
//
// Everything between reading and writing is float32; each result is rounded once, to nearest even.
// The same bits come out on every call and for every number of threads. A non-finite row reaches
// its own row and d_weight only.

struct RmsNormShape {
  std::int64_t rows = 0, width = 0;
  ElementType type = ElementType::kFloat32;
};

struct RmsNormForward {
  RmsNormShape shape;
  const void* x = nullptr;
  const void* added = nullptr;  // null: nothing is added, and `sum` is not written
  const void* weight = nullptr;
  float eps = 0.0F;
  void* sum = nullptr;  // may be x or added
  void* out = nullptr;
  float* inverse_rms = nullptr;  // [rows]; null: not wanted
};

struct RmsNormBackward {
  RmsNormShape shape;
  const void* sum = nullptr;  // of the forward (its x, where nothing was added)
  const void* weight = nullptr;
  const float* inverse_rms = nullptr;  // of the forward
  const void* d_out = nullptr;
  const void* d_sum = nullptr;  // null: nothing comes from elsewhere
  void* d_x = nullptr;          // also the gradient of `added`; may be d_out or d_sum
  float* d_weight = nullptr;    // [width], written
  /// rms_norm_backward_workspace_bytes(shape) bytes, aligned to 64.
  void* workspace = nullptr;
};

std::size_t rms_norm_backward_workspace_bytes(const RmsNormShape& shape);

/// Both throw std::invalid_argument with a sentence that says what is wrong, before they write
/// anything. No rows: nothing to do, but that d_weight is zeroed.
void rms_norm_forward(const RmsNormForward& arguments, const ParallelFor& parallel_for,
                      std::optional<InstructionSet> instruction_set = std::nullopt);
void rms_norm_backward(const RmsNormBackward& arguments, const ParallelFor& parallel_for,
                       std::optional<InstructionSet> instruction_set = std::nullopt);

}  // namespace zebra::kernels
