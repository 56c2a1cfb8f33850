#pragma once

#include <algorithm>
#include <cstdint>

#include "../device.h"

// Which threads work on which row: a warp, four of them in a block, on a short one, a block on a
// long one.

namespace zebra::kernels::rows {

struct RowLayout {
  int threads = 32;       // of a row, a multiple of 32
  int rows_of_block = 1;  // more than one only where a warp has a row
  int elements_of_chunk = 1;

  int block_threads() const { return threads * rows_of_block; }
  /// That have a thread for each of some rows.
  int blocks(std::int64_t rows) const {
    return static_cast<int>((rows + rows_of_block - 1) / rows_of_block);
  }
};

/// Of rows of `width` elements: threads with up to `elements_of_thread` each, as far as
/// `maximum_threads` are enough.
inline RowLayout row_layout(std::int64_t width, int elements_of_chunk, int elements_of_thread,
                            int maximum_threads) {
  constexpr int kShortRowsOfBlock = 4;
  const std::int64_t threads = (width + elements_of_thread - 1) / elements_of_thread;
  const auto warps = std::clamp<std::int64_t>((threads + 31) / 32, 1, maximum_threads / 32);
  return {static_cast<int>(32 * warps), warps == 1 ? kShortRowsOfBlock : 1, elements_of_chunk};
}

/// Shared memory for RowThreads: two sums of each warp of the longest block.
inline constexpr int kRowSharedBytes = 2 * 32 * static_cast<int>(sizeof(float));

/// A thread's place among the threads of its row.
class RowThreads {
 public:
  explicit ZEBRA_DEVICE RowThreads(const RowLayout& layout)
      : thread_(device::thread_index()),
        threads_(layout.threads),
        chunk_(layout.elements_of_chunk),
        row_(device::block_index_x()) {
    if (layout.rows_of_block == 1) return;
    row_ = static_cast<std::int64_t>(layout.rows_of_block) * row_ + thread_ / 32;
    thread_ %= 32;
  }

  ZEBRA_DEVICE std::int64_t row() const { return row_; }
  ZEBRA_DEVICE bool is_first() const { return thread_ == 0; }
  ZEBRA_DEVICE int thread() const { return thread_; }
  ZEBRA_DEVICE int threads() const { return threads_; }
  /// The element at which this thread's chunk `i` begins: neighbouring threads have neighbours.
  ZEBRA_DEVICE int chunk(int i) const { return (i * threads_ + thread_) * chunk_; }
  /// From a chunk of this thread to its next.
  ZEBRA_DEVICE int step() const { return threads_ * chunk_; }

  /// Over the threads of the row, which all call this and all get the same bits.
  ZEBRA_DEVICE float sum(float x) {
    return reduce(x, 0.0F, [](float a, float b) { return a + b; });
  }
  ZEBRA_DEVICE float largest(float x) {
    return reduce(x, x, [](float a, float b) { return a > b ? a : b; });
  }

 private:
  template <class Combine>
  static ZEBRA_DEVICE float over_lanes(float x, const Combine& combine) {
#pragma unroll
    for (int mask = 16; mask > 0; mask /= 2) x = combine(x, device::shuffle_xor(x, mask));
    return x;
  }

  /// `nothing`: what changes no result of `combine`.
  template <class Combine>
  ZEBRA_DEVICE float reduce(float x, float nothing, const Combine& combine) {
    x = over_lanes(x, combine);
    if (threads_ == 32) return x;
    // Of two calls in a row each has its own half: who comes early to the second overwrites nothing
    // that the first one's last reader needs.
    float* const of_warps = reinterpret_cast<float*>(device::shared_memory()) + 32 * (calls_ % 2);
    ++calls_;
    const int lane = thread_ % 32;
    if (lane == 0) of_warps[thread_ / 32] = x;
    device::block_barrier();
    return over_lanes(lane < threads_ / 32 ? of_warps[lane] : nothing, combine);
  }

  int thread_, threads_, chunk_, calls_ = 0;
  std::int64_t row_;
};

/// Some chunks of a thread's part of a row.
template <class Access, int kCount>
struct RowChunks {
  device::Words chunk[kCount];

  /// The thread's chunks from number `first` on; zeros from `width` on. All reads are on their way
  /// before the first one is waited for.
  ZEBRA_DEVICE void load(const typename Access::Element* row, const RowThreads& threads, int first,
                         int width) {
#pragma unroll
    for (int c = 0; c < kCount; ++c) {
      const int at = threads.chunk(first + c);
      chunk[c] = at < width ? Access::load(row, at, width) : device::Words{};
    }
  }
};

}  // namespace zebra::kernels::rows
