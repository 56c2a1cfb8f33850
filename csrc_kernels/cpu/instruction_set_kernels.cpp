// All kernels of one instruction set. csrc_kernels/CMakeLists.txt compiles this file once for each,
// with the options of the set and ZEBRA_KERNEL_TABLE, the function of kernel_table.h to define.

#include "backward.h"
#include "rows/cached_attention.h"
#include "rows/cross_entropy.h"
#include "rows/rms_norm.h"
#include "rows/rotary.h"
#include "rows/swiglu.h"
#include "rows/weight_updates.h"

namespace zebra::kernels {
namespace {

template <class Product, class Element>
constexpr KernelTable attention_kernels() {
  KernelTable table = {};
  table.attention_forward = [](const LocalAttentionForward& a, const LocalAttentionPlan& plan,
                               std::int64_t task) {
    ForwardTask<Product, Element>(a, plan).run(task);
  };
  table.attention_backward = [](const LocalAttentionBackward& a, const LocalAttentionPlan& plan,
                                std::int64_t task) {
    BackwardTask<Product, Element>(a, plan).run(task);
  };
  table.attention_join = [](const LocalAttentionBackward& a, const LocalAttentionPlan& plan,
                            std::int64_t task) {
    KeyGradients<Element>(a, plan, nullptr).join(task);
  };
  table.attention_head_unit = 16;
  return table;
}

#ifdef __AVX512BF16__
/// The row kernels are those of AVX-512: the conversion instructions of this set take subnormal
/// numbers for zero, and were slower (docs/kernels.md).
template <class Product, class Element>
KernelTable all_kernels(int index) {
  KernelTable table = avx512_kernels()[index];
  const KernelTable attention = attention_kernels<Product, Element>();
  table.attention_forward = attention.attention_forward;
  table.attention_backward = attention.attention_backward;
  table.attention_join = attention.attention_join;
  table.attention_head_unit = attention.attention_head_unit;
  return table;
}
using Bfloat16Words = Bfloat16Product;
#else
template <class Product, class Element>
constexpr KernelTable all_kernels(int /*index*/) {
  KernelTable table = attention_kernels<Product, Element>();
  table.rms_norm_forward = rms_norm_forward_rows<Element>;
  table.rms_norm_backward = rms_norm_backward_rows<Element>;
  table.rms_norm_join = rms_norm_join_columns<Element>;
  table.swiglu_forward = swiglu_forward_rows<Element>;
  table.swiglu_backward = swiglu_backward_rows<Element>;
  table.cross_entropy = cross_entropy_rows<Element>;
  table.adamw_update = adamw_update_elements;
  table.embedding_backward = embedding_backward_positions<Element>;
  table.rotary = rotary_tokens<Element>;
  table.cached_attention = cached_attention_keys<Element>;
  table.cached_attention_join = cached_attention_join<Element>;
  return table;
}
using Bfloat16Words = FloatProduct;
#endif

}  // namespace

const KernelTable* ZEBRA_KERNEL_TABLE() {
  static const KernelTable tables[2] = {all_kernels<FloatProduct, float>(0),
                                        all_kernels<Bfloat16Words, std::uint16_t>(1)};
  return tables;
}

}  // namespace zebra::kernels
