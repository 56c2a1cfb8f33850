#pragma once

#include "access.h"
#include "row_threads.h"

namespace zebra::kernels::rows {

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
