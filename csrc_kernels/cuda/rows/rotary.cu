#include "rotary_kernel.h"
#include "row_arguments.h"
#include "zebra_kernels/row_kernels_cuda.h"

namespace zebra::kernels::cuda {
namespace {

using namespace rows;

/// Whether every head's half, of x and of the table, can move 16 bytes at a time.
bool is_aligned(const Rotary& a) {
  const auto head_is_aligned = [&](const auto& x) {
    return are_aligned(x.data) && is_multiple_of_16(x.batch_stride, a.type) &&
           is_multiple_of_16(x.token_stride, a.type) && is_multiple_of_16(x.head_stride, a.type);
  };
  return is_multiple_of_16(a.head_size / 2, a.type) && head_is_aligned(a.x) &&
         head_is_aligned(a.out) && are_aligned(a.table.cos, a.table.sin) &&
         a.table.batch_stride % 4 == 0 && a.table.token_stride % 4 == 0;
}

}  // namespace

void rotary(const Rotary& a, CUstream_st* stream) {
  check_arguments(a);
  if (a.batch == 0 || a.length == 0 || a.heads == 0) return;
  constexpr std::int64_t kMost = std::int64_t{1} << 30;
  require(a.batch < kMost && a.length < kMost && a.heads < kMost && a.head_size < kMost, "rotary",
          "on CUDA batch, length, heads and head size must be below 2^30.");
  check_cuda_rows("rotary", a.batch * a.length, a.heads * a.head_size);
  with_access(a.type, is_aligned(a), [&](auto access) {
    using Access = decltype(access);
    RotaryParameters<Access> p;
    p.length = static_cast<int>(a.length);
    p.half = static_cast<int>(a.head_size / 2);
    p.chunks_of_head = (p.half + Access::kElements - 1) / Access::kElements;
    p.chunks = static_cast<int>(a.heads) * p.chunks_of_head;
    p.layout = row_layout(p.chunks, 1, 1, kRotaryThreads);
    p.tokens = a.batch * a.length;
    p.x = rows_of<typename Access::Element>(a.x);
    p.out = rows_of<typename Access::Element>(a.out);
    p.table = a.table;
    p.direction = a.inverse ? -1.0F : 1.0F;
    device::launch(rotary_kernel<Access>, device::Grid{p.layout.blocks(p.tokens), 1, 1},
                   p.layout.block_threads(), 0, p, stream);
  });
}

}  // namespace zebra::kernels::cuda
