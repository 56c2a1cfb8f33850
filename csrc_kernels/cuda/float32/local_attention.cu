#include "local_attention.h"

#include <algorithm>
#include <cmath>

#include "kernels.h"

namespace zebra::kernels::float32 {
namespace {

Extent extent_of(const LocalAttentionInputs& in) {
  const LocalAttentionShape& s = in.shape;
  Extent extent;
  extent.length = static_cast<int>(s.length);
  extent.query_heads = static_cast<int>(s.query_heads);
  extent.key_heads = static_cast<int>(s.key_heads);
  extent.group = static_cast<int>(s.query_heads / s.key_heads);
  extent.window = static_cast<int>(std::min(s.window, s.length));
  extent.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(s.head_size)));
  extent.first_token = in.first_token;
  return extent;
}

Rows<const float> rows_of(const HeadArray& x) {
  return {static_cast<const float*>(x.data), x.batch_stride, x.token_stride, x.head_stride};
}
Rows<float> rows_of(const MutableHeadArray& x) {
  return {static_cast<float*>(x.data), x.batch_stride, x.token_stride, x.head_stride};
}
Rotary rotary_of(const RotaryTable& table) {
  return {table.cos, table.sin, table.batch_stride, table.token_stride};
}

device::Grid grid_of(const LocalAttentionShape& s, std::int64_t heads) {
  return {static_cast<int>((s.length + kTile - 1) / kTile), static_cast<int>(heads),
          static_cast<int>(s.batch)};
}

}  // namespace

template <int D>
void forward(const LocalAttentionForward& arguments, CUstream_st* stream) {
  const LocalAttentionInputs& in = arguments.inputs;
  ForwardParameters p;
  p.extent = extent_of(in);
  p.q = rows_of(in.q);
  p.k = rows_of(in.k);
  p.v = rows_of(in.v);
  p.rotary = rotary_of(in.rotary);
  p.out = rows_of(arguments.out);
  p.log_sum_exp = arguments.log_sum_exp;
  device::launch(forward_kernel<D>, grid_of(in.shape, in.shape.query_heads), kThreads,
                 kSharedBytes<D>, p, stream);
}

template <int D>
void backward(const LocalAttentionBackward& arguments, CUstream_st* stream) {
  const LocalAttentionInputs& in = arguments.inputs;
  cuda::MemoryLayout workspace(arguments.workspace);
  QueryGradientParameters dq;
  dq.extent = extent_of(in);
  dq.q = rows_of(in.q);
  dq.k = rows_of(in.k);
  dq.v = rows_of(in.v);
  dq.out = rows_of(arguments.out);
  dq.d_out = rows_of(arguments.d_out);
  dq.rotary = rotary_of(in.rotary);
  dq.log_sum_exp = arguments.log_sum_exp;
  dq.delta = take_delta(workspace, in.shape);
  dq.dq = rows_of(arguments.dq);
  device::launch(query_gradient_kernel<D>, grid_of(in.shape, in.shape.query_heads), kThreads,
                 kSharedBytes<D>, dq, stream);

  KeyValueGradientParameters dkv;
  dkv.extent = dq.extent;
  dkv.q = dq.q;
  dkv.k = dq.k;
  dkv.v = dq.v;
  dkv.d_out = dq.d_out;
  dkv.rotary = dq.rotary;
  dkv.log_sum_exp = dq.log_sum_exp;
  dkv.delta = dq.delta;
  dkv.dk = rows_of(arguments.dk);
  dkv.dv = rows_of(arguments.dv);
  device::launch(key_value_gradient_kernel<D>, grid_of(in.shape, in.shape.key_heads), kThreads,
                 kSharedBytes<D>, dkv, stream);
}

template void forward<32>(const LocalAttentionForward&, CUstream_st*);
template void forward<64>(const LocalAttentionForward&, CUstream_st*);
template void forward<96>(const LocalAttentionForward&, CUstream_st*);
template void forward<128>(const LocalAttentionForward&, CUstream_st*);
template void backward<32>(const LocalAttentionBackward&, CUstream_st*);
template void backward<64>(const LocalAttentionBackward&, CUstream_st*);
template void backward<96>(const LocalAttentionBackward&, CUstream_st*);
template void backward<128>(const LocalAttentionBackward&, CUstream_st*);

}  // namespace zebra::kernels::float32
