#pragma once

#include <cmath>
#include <cstdint>

#include "device.h"
#include "zebra_kernels/local_attention.h"

// The parts of the public arguments that kernels take over as they are.

namespace zebra::kernels {

/// [batch, length, heads, D]; strides in elements.
template <class Element>
struct Rows {
  Element* data = nullptr;
  std::int64_t batch_stride = 0, token_stride = 0, head_stride = 0;

  /// The row of a token in one head of one sequence.
  ZEBRA_DEVICE Element* at(int batch, int head, int token) const {
    return data + batch * batch_stride + head * head_stride + token * token_stride;
  }
};

template <class Element>
Rows<const Element> rows_of(const HeadArray& x) {
  return {static_cast<const Element*>(x.data), x.batch_stride, x.token_stride, x.head_stride};
}
template <class Element>
Rows<Element> rows_of(const MutableHeadArray& x) {
  return {static_cast<Element*>(x.data), x.batch_stride, x.token_stride, x.head_stride};
}

inline float score_scale(const LocalAttentionShape& s) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(s.head_size)));
}

/// Blocks of `rows` tokens of every head and sequence.
inline device::Grid grid_of(const LocalAttentionShape& s, std::int64_t heads, int rows) {
  return {static_cast<int>((s.length + rows - 1) / rows), static_cast<int>(heads),
          static_cast<int>(s.batch)};
}

}  // namespace zebra::kernels
