#pragma once

#include "ampere/parameters.h"
#include "arguments.h"
#include "zebra_kernels/local_attention_cuda.h"

// The kernels as local_attention.cu calls them, by the instructions and elements that they are made
// for. The arguments have been checked.

/// For compute capability 8.0 and later (mma.sync, ldmatrix, cp.async), bfloat16.
namespace zebra::kernels::ampere {

/// D = 32, 64, 96, 128.
template <int D>
void forward(const LocalAttentionForward& arguments, void* saved, CUstream_st* stream);
template <int D>
void backward(const LocalAttentionBackward& arguments, const void* saved, CUstream_st* stream);

inline std::int64_t padded_length(const LocalAttentionShape& s) {
  return (s.length + kPaddedTokens - 1) / kPaddedTokens * kPaddedTokens;
}

inline Prepared take_prepared(cuda::MemoryLayout& memory, const LocalAttentionShape& s) {
  const auto tokens = static_cast<std::size_t>(s.batch * padded_length(s));
  Prepared prepared;
  prepared.keys =
      memory.take<std::uint16_t>(tokens * static_cast<std::size_t>(s.key_heads * s.head_size));
  prepared.first_key = memory.take<int>(tokens);
  prepared.bounds = memory.take<VisibleBounds>(tokens / kBoundedTokens);
  return prepared;
}

inline PreparedQueries take_prepared_queries(cuda::MemoryLayout& memory,
                                             const LocalAttentionShape& s) {
  const auto rows = static_cast<std::size_t>(s.batch * padded_length(s) * s.query_heads);
  PreparedQueries prepared;
  prepared.queries = memory.take<std::uint16_t>(rows * static_cast<std::size_t>(s.head_size));
  prepared.statistics = memory.take<QueryStatistics>(rows);
  return prepared;
}

}  // namespace zebra::kernels::ampere

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
