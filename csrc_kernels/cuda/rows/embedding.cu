#include "access.h"
#include "zebra_kernels/row_kernels_cuda.h"

// Equal tokens lie side by side: a run. A short run is a warp's, which adds its rows in order; a
// long one a block's, each of whose warps adds an equal part of the rows in order, and then the
// parts are added in order. Tiles of 32 chunks of columns are independent.
//
// What a frequent token costs (a model, no measurement): a block has 64 KB on their way from
// memory, so that it reads some 90 GB/s. At a width of 2048, eight tiles of bfloat16, an H100 needs
// for the rows of one run 4.5 times as long as for as many rows of different tokens. Runs of
// different tokens overlap, so the longest one counts: a token that is 5 % of a text adds a fifth
// to the reading of d_out.

namespace zebra::kernels::rows {

/// The longest run of one warp. Every longer one has a position that is a multiple of this.
inline constexpr int kShortRun = 64;
inline constexpr int kShortRunWarps = 4;  // of a block, each with another position
inline constexpr int kLongRunWarps = 16;  // that share a run

template <class Access>
struct EmbeddingParameters {
  using Element = typename Access::Element;

  std::int64_t rows = 0, width = 0;
  const std::int64_t *sorted_tokens = nullptr, *order = nullptr;
  const Element* d_out = nullptr;
  float* d_weight = nullptr;
};

/// A lane's chunk of a tile of columns, the same for all rows.
template <class Access>
struct ColumnChunk {
  const EmbeddingParameters<Access>& p;
  int at = (device::block_index_y() * 32 + device::thread_index() % 32) * Access::kElements;
  Values<typename Access::Element> sum = {};

  ZEBRA_DEVICE bool exists() const { return at < p.width; }

  /// The rows of positions begin .. end - 1.
  template <int kRowsAtOnce>
  ZEBRA_DEVICE void add_rows(std::int64_t begin, std::int64_t end) {
#pragma unroll kRowsAtOnce
    for (std::int64_t i = begin; i < end; ++i) {
      const auto* const row = p.d_out + p.order[i] * p.width;
      const auto values = Access::load_values(row, at, static_cast<int>(p.width));
#pragma unroll
      for (int j = 0; j < sum.kCount; ++j) sum.x[j] += values.x[j];
    }
  }

  /// d_weight += sum.
  ZEBRA_DEVICE void add_to_weight(std::int64_t token) const {
    using Floats = rows::Access<float, Access::kIsAligned>;
    const int width = static_cast<int>(p.width);
    float* const row = p.d_weight + token * p.width;
#pragma unroll
    for (int i = 0; i < sum.kCount; i += Floats::kElements) {
      if (at + i >= width) return;
      auto weight = Floats::load_values(row, at + i, width);
#pragma unroll
      for (int j = 0; j < Floats::kElements; ++j) weight.x[j] += sum.x[i + j];
      Floats::store_values(row, at + i, width, weight);
    }
  }
};

/// Grid: x groups of kShortRunWarps positions, y tiles of columns.
template <class Access>
ZEBRA_KERNEL(32 * kShortRunWarps, 1)
short_runs_kernel(ZEBRA_PARAMETER EmbeddingParameters<Access> p) {
  const std::int64_t begin = static_cast<std::int64_t>(device::block_index_x()) * kShortRunWarps +
                             device::thread_index() / 32;
  ColumnChunk<Access> column{p};
  if (begin >= p.rows || !column.exists()) return;
  const std::int64_t token = p.sorted_tokens[begin];
  if (begin > 0 && p.sorted_tokens[begin - 1] == token) return;
  if (begin + kShortRun < p.rows && p.sorted_tokens[begin + kShortRun] == token) return;
  std::int64_t end = begin + 1;
  while (end < p.rows && p.sorted_tokens[end] == token) ++end;
  column.template add_rows<4>(begin, end);
  column.add_to_weight(token);
}

/// The first position of a token at least as large as `token`.
ZEBRA_DEVICE std::int64_t first_at_least(const std::int64_t* sorted_tokens, std::int64_t rows,
                                         std::int64_t token) {
  std::int64_t first = 0, end = rows;
  while (first < end) {
    const std::int64_t middle = (first + end) / 2;
    if (sorted_tokens[middle] < token) {
      first = middle + 1;
    } else {
      end = middle;
    }
  }
  return first;
}

/// Grid: x positions that are multiples of kShortRun, y tiles of columns. The block at the first
/// of a long run's is the run's. Each warp adds an equal part of the rows; the parts are added in
/// order.
template <class Access>
ZEBRA_KERNEL(32 * kLongRunWarps, 1)
long_runs_kernel(ZEBRA_PARAMETER EmbeddingParameters<Access> p) {
  constexpr int kSums = Access::kElements;
  const std::int64_t position = static_cast<std::int64_t>(device::block_index_x()) * kShortRun;
  const std::int64_t token = p.sorted_tokens[position];
  if (position >= kShortRun && p.sorted_tokens[position - kShortRun] == token) return;
  const std::int64_t begin = first_at_least(p.sorted_tokens, p.rows, token);
  const std::int64_t count = first_at_least(p.sorted_tokens, p.rows, token + 1) - begin;
  if (count <= kShortRun) return;

  const int warp = device::thread_index() / 32, lane = device::thread_index() % 32;
  ColumnChunk<Access> column{p};
  if (column.exists()) {
    column.template add_rows<8>(begin + count * warp / kLongRunWarps,
                                begin + count * (warp + 1) / kLongRunWarps);
  }
  float* const sums = reinterpret_cast<float*>(device::shared_memory()) + lane;
#pragma unroll
  for (int i = 0; i < kSums; ++i) sums[(warp * kSums + i) * 32] = column.sum.x[i];
  device::block_barrier();
  if (warp > 0 || !column.exists()) return;
  for (int other = 1; other < kLongRunWarps; ++other) {
#pragma unroll
    for (int i = 0; i < kSums; ++i) column.sum.x[i] += sums[(other * kSums + i) * 32];
  }
  column.add_to_weight(token);
}

/// Shared memory of long_runs_kernel.
template <class Access>
inline constexpr int kLongRunSharedBytes = kLongRunWarps * 32 *
                                           Access::kElements* static_cast<int>(sizeof(float));

}  // namespace zebra::kernels::rows

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
