#pragma once

// All row kernels of one instruction set.

#include "adamw.h"
#include "cross_entropy.h"
#include "embedding.h"
#include "rms_norm.h"
#include "rotary.h"
#include "swiglu.h"

namespace zebra::kernels {
namespace {

template <class Element>
constexpr RowKernelTable row_kernel_table() {
  return {rms_norm_forward_rows<Element>, rms_norm_backward_rows<Element>,
          rms_norm_join_columns<Element>, swiglu_forward_rows<Element>,
          swiglu_backward_rows<Element>,  cross_entropy_rows<Element>,
          adamw_update_elements,          embedding_backward_positions<Element>,
          rotary_tokens<Element>};
}

inline const RowKernelTable* row_kernel_tables() {
  static constexpr RowKernelTable kTables[2] = {row_kernel_table<float>(),
                                                row_kernel_table<std::uint16_t>()};
  return kTables;
}

}  // namespace
}  // namespace zebra::kernels
