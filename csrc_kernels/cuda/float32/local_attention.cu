#include <algorithm>

#include "../kernel_classes.h"
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
  extent.scale = score_scale(s);
  extent.first_token = in.first_token;
  return extent;
}

}  // namespace

template <int D>
void forward(const LocalAttentionForward& arguments, CUstream_st* stream) {
  const LocalAttentionInputs& in = arguments.inputs;
  ForwardParameters p;
  p.extent = extent_of(in);
  p.q = rows_of<float>(in.q);
  p.k = rows_of<float>(in.k);
  p.v = rows_of<float>(in.v);
  p.rotary = in.rotary;
  p.out = rows_of<float>(arguments.out);
  p.log_sum_exp = arguments.log_sum_exp;
  device::launch(forward_kernel<D>, grid_of(in.shape, in.shape.query_heads, kTile), kThreads,
                 kSharedBytes<D>, p, stream);
}

template <int D>
void backward(const LocalAttentionBackward& arguments, CUstream_st* stream) {
  const LocalAttentionInputs& in = arguments.inputs;
  cuda::MemoryLayout workspace(arguments.workspace);
  QueryGradientParameters dq;
  dq.extent = extent_of(in);
  dq.q = rows_of<float>(in.q);
  dq.k = rows_of<float>(in.k);
  dq.v = rows_of<float>(in.v);
  dq.out = rows_of<float>(arguments.out);
  dq.d_out = rows_of<float>(arguments.d_out);
  dq.rotary = in.rotary;
  dq.log_sum_exp = arguments.log_sum_exp;
  dq.delta = take_delta(workspace, in.shape);
  dq.dq = rows_of<float>(arguments.dq);
  device::launch(query_gradient_kernel<D>, grid_of(in.shape, in.shape.query_heads, kTile), kThreads,
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
  dkv.dk = rows_of<float>(arguments.dk);
  dkv.dv = rows_of<float>(arguments.dv);
  device::launch(key_value_gradient_kernel<D>, grid_of(in.shape, in.shape.key_heads, kTile),
                 kThreads, kSharedBytes<D>, dkv, stream);
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
