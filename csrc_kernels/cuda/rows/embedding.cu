#include "embedding_kernels.h"
#include "row_arguments.h"
#include "zebra_kernels/row_kernels_cuda.h"

namespace zebra::kernels::cuda {

using namespace rows;

void embedding_backward(const EmbeddingBackward& a, CUstream_st* stream) {
  check_arguments(a);
  check_cuda_rows("embedding", a.rows, a.width);
  constexpr std::int64_t kMostTiles = 65535;  // in one direction of a grid
  const bool is_aligned = is_multiple_of_16(a.width, a.type) && are_aligned(a.d_out, a.d_weight);
  if (a.rows == 0) return;
  with_access(a.type, is_aligned, [&](auto access) {
    using Access = decltype(access);
    const std::int64_t tiles = (a.width + 32 * Access::kElements - 1) / (32 * Access::kElements);
    require(tiles <= kMostTiles, "embedding",
            "on CUDA the width may be at most 8 million, got " + std::to_string(a.width) + ".");
    EmbeddingParameters<Access> p;
    p.rows = a.rows;
    p.width = a.width;
    p.sorted_tokens = a.sorted_tokens;
    p.order = a.order;
    p.d_out = elements<Access>(a.d_out);
    p.d_weight = a.d_weight;
    const auto grid = [&](std::int64_t positions) {
      return device::Grid{static_cast<int>((a.rows + positions - 1) / positions),
                          static_cast<int>(tiles), 1};
    };
    device::launch(short_runs_kernel<Access>, grid(kShortRunWarps), 32 * kShortRunWarps, 0, p,
                   stream);
    if (a.rows <= kShortRun) return;
    device::launch(long_runs_kernel<Access>, grid(kShortRun), 32 * kLongRunWarps,
                   kLongRunSharedBytes<Access>, p, stream);
  });
}

}  // namespace zebra::kernels::cuda
