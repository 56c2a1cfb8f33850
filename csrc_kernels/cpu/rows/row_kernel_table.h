#pragma once

#include <cstdint>

#include "zebra_kernels/adamw.h"
#include "zebra_kernels/cross_entropy.h"
#include "zebra_kernels/embedding.h"
#include "zebra_kernels/rms_norm.h"
#include "zebra_kernels/rotary.h"
#include "zebra_kernels/swiglu.h"

namespace zebra::kernels {

/// A half-open range: of rows, of elements, of columns.
struct Span {
  std::int64_t begin = 0, end = 0;
};

/// Columns of RMSNorm's partial weight gradients are padded to a multiple of this, twice the lanes
/// of the widest vector.
constexpr std::int64_t kColumnUnit = 32;

/// What a partial weight gradient needs of its workspace: [blocks, padded_width] float32, columns
/// in the order of the vectors (see Pair).
inline std::int64_t padded_width(std::int64_t width) {
  return (width + kColumnUnit - 1) / kColumnUnit * kColumnUnit;
}

/// One task of each row kernel, of one instruction set and element type.
struct RowKernelTable {
  void (*rms_norm_forward)(const RmsNormForward&, Span rows);
  /// `partial` [padded_width]: the part of d_weight that comes from these rows, written.
  void (*rms_norm_backward)(const RmsNormBackward&, Span rows, float* partial);
  /// d_weight of some columns (begin a multiple of kColumnUnit) from the parts of all blocks.
  void (*rms_norm_join)(const RmsNormBackward&, Span columns, std::int64_t blocks);
  void (*swiglu_forward)(const SwigluForward&, Span rows);
  void (*swiglu_backward)(const SwigluBackward&, Span rows);
  void (*cross_entropy)(const CrossEntropy&, Span rows);
  void (*adamw_update)(const AdamwUpdate&, Span elements);
  /// Of the tokens whose first position lies in `positions`, all their rows.
  void (*embedding_backward)(const EmbeddingBackward&, Span positions, Span columns);
  /// Tokens are counted through all sequences.
  void (*rotary)(const Rotary&, Span tokens);
};

// By element type: [0] float32, [1] bfloat16. The sets that this build's compiler or architecture
// lacks are absent: see ZEBRA_KERNELS_X86.
const RowKernelTable* portable_row_kernels();
const RowKernelTable* avx2_row_kernels();
const RowKernelTable* avx512_row_kernels();

}  // namespace zebra::kernels
