#pragma once

#include <algorithm>

#include "../kernel_classes.h"
#include "forward_kernel.h"
#include "key_value_gradient_kernel.h"
#include "prepare_kernel.h"
#include "query_gradient_kernel.h"

// From the public arguments to launches. Included by the source files of some head sizes each.

namespace zebra::kernels::ampere {

inline Extent extent_of(const LocalAttentionShape& s) {
  Extent extent;
  extent.length = static_cast<int>(s.length);
  extent.padded_length = static_cast<int>(padded_length(s));
  extent.query_heads = static_cast<int>(s.query_heads);
  extent.key_heads = static_cast<int>(s.key_heads);
  extent.group = static_cast<int>(s.query_heads / s.key_heads);
  extent.window = static_cast<int>(std::min(s.window, s.length));
  extent.scale = score_scale(s);
  return extent;
}

template <int D>
constexpr int forward_shared_bytes() {
  using Shape = ForwardShape<D>;
  return SharedTile<D>::bytes(Shape::kRows) + KeyRing<D, Shape>::kBytes;
}
template <int D>
constexpr int query_gradient_shared_bytes() {
  using Shape = QueryGradientShape<D>;
  return 2 * SharedTile<D>::bytes(Shape::kRows) + KeyRing<D, Shape>::kBytes;
}
template <int D>
constexpr int key_value_gradient_shared_bytes() {
  using Shape = KeyValueGradientShape<D>;
  return 2 * SharedTile<D>::bytes(Shape::kRows) + QueryRing<D, Shape>::kBytes;
}

template <int D>
void forward(const LocalAttentionForward& arguments, void* saved, device::Stream stream) {
  const LocalAttentionInputs& in = arguments.inputs;
  const LocalAttentionShape& s = in.shape;
  cuda::MemoryLayout memory(saved);
  const Prepared prepared = take_prepared(memory, s);

  PrepareParameters prepare;
  prepare.extent = extent_of(s);
  prepare.k = rows_of<std::uint16_t>(in.k);
  prepare.rotary = in.rotary;
  prepare.first_token = in.first_token;
  prepare.prepared = prepared;
  device::launch(
      prepare_kernel<D>,
      device::Grid{prepare.extent.padded_length / kBoundedTokens, static_cast<int>(s.batch), 1},
      kPrepareThreads, 0, prepare, stream);

  ForwardParameters p;
  p.extent = prepare.extent;
  p.q = rows_of<std::uint16_t>(in.q);
  p.v = rows_of<std::uint16_t>(in.v);
  p.rotary = prepare.rotary;
  p.prepared = prepared;
  p.out = rows_of<std::uint16_t>(arguments.out);
  p.log_sum_exp = arguments.log_sum_exp;
  using Shape = ForwardShape<D>;
  device::launch(forward_kernel<D>, grid_of(s, s.query_heads, Shape::kRows), Shape::kThreads,
                 forward_shared_bytes<D>(), p, stream);
}

template <int D>
void backward(const LocalAttentionBackward& arguments, const void* saved, device::Stream stream) {
  const LocalAttentionInputs& in = arguments.inputs;
  const LocalAttentionShape& s = in.shape;
  cuda::MemoryLayout memory(const_cast<void*>(saved)), workspace(arguments.workspace);

  QueryGradientParameters dq;
  dq.extent = extent_of(s);
  dq.q = rows_of<std::uint16_t>(in.q);
  dq.v = rows_of<std::uint16_t>(in.v);
  dq.out = rows_of<std::uint16_t>(arguments.out);
  dq.d_out = rows_of<std::uint16_t>(arguments.d_out);
  dq.rotary = in.rotary;
  dq.prepared = take_prepared(memory, s);
  dq.log_sum_exp = arguments.log_sum_exp;
  dq.prepared_queries = take_prepared_queries(workspace, s);
  dq.dq = rows_of<std::uint16_t>(arguments.dq);
  using QueryShape = QueryGradientShape<D>;
  device::launch(query_gradient_kernel<D>, grid_of(s, s.query_heads, QueryShape::kRows),
                 QueryShape::kThreads, query_gradient_shared_bytes<D>(), dq, stream);

  KeyValueGradientParameters dkv;
  dkv.extent = dq.extent;
  dkv.v = dq.v;
  dkv.d_out = dq.d_out;
  dkv.rotary = dq.rotary;
  dkv.prepared = dq.prepared;
  dkv.prepared_queries = dq.prepared_queries;
  dkv.dk = rows_of<std::uint16_t>(arguments.dk);
  dkv.dv = rows_of<std::uint16_t>(arguments.dv);
  using KeyShape = KeyValueGradientShape<D>;
  // It reads whole tiles of queries, and behind the rows that the other has written nothing is set.
  static_assert(QueryShape::kRows % KeyShape::kColumns == 0);
  device::launch(key_value_gradient_kernel<D>, grid_of(s, s.key_heads, KeyShape::kRows),
                 KeyShape::kThreads, key_value_gradient_shared_bytes<D>(), dkv, stream);
}

}  // namespace zebra::kernels::ampere
