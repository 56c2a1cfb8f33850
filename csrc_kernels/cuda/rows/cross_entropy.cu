#include "cross_entropy_kernel.h"
#include "row_arguments.h"
#include "zebra_kernels/row_kernels_cuda.h"

namespace zebra::kernels::cuda {

using namespace rows;

void cross_entropy(const CrossEntropy& a, CUstream_st* stream) {
  check_arguments(a);
  check_cuda_rows("cross-entropy", a.rows, a.vocabulary);
  if (a.rows == 0) return;
  const bool is_aligned =
      is_multiple_of_16(a.vocabulary, a.type) && are_aligned(a.logits, a.gradient);
  with_access(a.type, is_aligned, [&](auto access) {
    using Access = decltype(access);
    CrossEntropyParameters<Access> p;
    p.layout = row_layout(a.vocabulary, Access::kElements, kLogitsOfThread, kCrossEntropyThreads);
    p.vocabulary = static_cast<int>(a.vocabulary);
    p.rows = a.rows;
    p.logits = elements<Access>(a.logits);
    p.targets = a.targets;
    p.z_loss = a.z_loss;
    p.cross_entropy = a.cross_entropy;
    p.log_sum_exp = a.log_sum_exp;
    p.gradient = elements<Access>(a.gradient);
    device::launch(cross_entropy_kernel<Access>, device::Grid{p.layout.blocks(p.rows), 1, 1},
                   p.layout.block_threads(), kRowSharedBytes, p, stream);
  });
}

}  // namespace zebra::kernels::cuda
