#include "backward.h"
#include "forward.h"

namespace zebra::kernels {

/// Tiles multiply bfloat16 alone: all other kernels are those of avx512_bf16.
const KernelTable* amx_bf16_kernels() {
  static const struct Tables {
    Tables() {
      for (int type = 0; type < 2; ++type) tables[type] = avx512_bf16_kernels()[type];
      KernelTable& table = tables[1];
      table.attention_forward = [](const LocalAttentionForward& a, const LocalAttentionPlan& plan,
                                   std::int64_t task) { TileForwardTask(a, plan).run(task); };
      table.attention_backward = [](const LocalAttentionBackward& a, const LocalAttentionPlan& plan,
                                    std::int64_t task) { TileBackwardTask(a, plan).run(task); };
      table.attention_head_unit = kProductSide;
    }
    KernelTable tables[2];
  } all;
  return all.tables;
}

}  // namespace zebra::kernels
