#pragma once

#include "../memory_layout.h"
#include "zebra_kernels/local_attention_cuda.h"

// The float32 kernels as ../local_attention.cu calls them. The arguments have been checked.

namespace zebra::kernels::float32 {

/// D = 32, 64, 96, 128.
template <int D>
void forward(const LocalAttentionForward& arguments, CUstream_st* stream);
template <int D>
void backward(const LocalAttentionBackward& arguments, CUstream_st* stream);

/// [batch, query_heads, length]
inline float* take_delta(cuda::MemoryLayout& memory, const LocalAttentionShape& s) {
  return memory.take<float>(static_cast<std::size_t>(s.batch * s.query_heads * s.length));
}

}  // namespace zebra::kernels::float32
