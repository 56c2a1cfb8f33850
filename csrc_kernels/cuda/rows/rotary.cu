#include "../arguments.h"
#include "access.h"
#include "row_threads.h"
#include "zebra_kernels/row_kernels_cuda.h"

namespace zebra::kernels::rows {

inline constexpr int kRotaryThreads = 256;  // of a block, at most

/// A row of RowLayout is a token, its elements the pairs of all heads, each head's padded to whole
/// chunks.
template <class Access>
struct RotaryParameters {
  using Element = typename Access::Element;

  RowLayout layout;
  int length = 0, half = 0;            // half: of a head
  int chunks_of_head = 0, chunks = 0;  // of one half; of all heads of a token
  std::int64_t tokens = 0;             // of all sequences
  Rows<const Element> x;
  Rows<Element> out;
  RotaryTable table;
  float direction = 1.0F;  // -1: by the opposite angles
};

/// The angles' cosines or sines at a chunk of pairs.
template <class Access>
ZEBRA_DEVICE Values<typename Access::Element> load_angles(const float* table, int at, int half) {
  Values<typename Access::Element> angles;
#pragma unroll
  for (int i = 0; i < angles.kCount; i += 4) {
    const auto four = rows::Access<float, Access::kIsAligned>::load_values(table, at + i, half);
#pragma unroll
    for (int j = 0; j < 4; ++j) angles.x[i + j] = four.x[j];
  }
  return angles;
}

template <class Access>
ZEBRA_KERNEL(kRotaryThreads, 1)
rotary_kernel(ZEBRA_PARAMETER RotaryParameters<Access> p) {
  const RowThreads threads(p.layout);
  if (threads.row() >= p.tokens) return;
  const int row = static_cast<int>(threads.row()), batch = row / p.length;
  const int token = row - batch * p.length;
  const std::int64_t angles = batch * p.table.batch_stride + token * p.table.token_stride;
  for (int chunk = threads.thread(); chunk < p.chunks; chunk += threads.threads()) {
    const int head = chunk / p.chunks_of_head;
    const int at = (chunk - head * p.chunks_of_head) * Access::kElements;
    const auto* const x = p.x.at(batch, head, token);
    auto low = Access::load_values(x, at, p.half);
    auto high = Access::load_values(x + p.half, at, p.half);
    const auto cos = load_angles<Access>(p.table.cos + angles, at, p.half);
    const auto sin = load_angles<Access>(p.table.sin + angles, at, p.half);
#pragma unroll
    for (int i = 0; i < Access::kElements; ++i) {
      const float a = low.x[i], b = high.x[i], turned_by = p.direction * sin.x[i];
      low.x[i] = a * cos.x[i] - b * turned_by;
      high.x[i] = b * cos.x[i] + a * turned_by;
    }
    auto* const out = p.out.at(batch, head, token);
    Access::store_values(out, at, p.half, low);
    Access::store_values(out + p.half, at, p.half, high);
  }
}

}  // namespace zebra::kernels::rows

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
