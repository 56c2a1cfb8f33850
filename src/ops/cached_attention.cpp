#include "zebra_kernels/cached_attention.h"
#include "ops/attention.h"
#include "ops/attention_kernels.h"
#include "ops/fused_kernels.h"
#include "ops/torch_attention_kernels.h"

namespace zebra {
namespace {

torch::Tensor fused_cached_attention(const torch::Tensor& q, const torch::Tensor& k,
                                     const torch::Tensor& v, const torch::Tensor& sink) {
  TORCH_CHECK(k.sizes() == v.sizes() && k.size(0) == q.size(0) && k.size(3) == q.size(3) &&
                  k.scalar_type() == q.scalar_type() && v.scalar_type() == q.scalar_type(),
              "cached keys ", k.sizes(), " and values ", v.sizes(), " do not fit queries ",
              q.sizes());
  const auto readable = [](const torch::Tensor& x) {
    return x.stride(-1) == 1 ? x : x.contiguous();
  };
  const auto queries = readable(q), keys = readable(k), values = readable(v);
  const auto sinks =
      sink.defined() ? sink.detach().to(torch::kFloat32).contiguous() : torch::Tensor();
  const auto out = torch::empty(q.sizes(), q.options());
  kernels::CachedAttention a;
  a.batch = q.size(0);
  a.keys = k.size(1);
  a.query_heads = q.size(2);
  a.key_heads = k.size(2);
  a.head_size = q.size(3);
  a.type = element_type(q);
  a.q = kernel_input(queries);
  a.k = kernel_input(keys);
  a.v = kernel_input(values);
  a.sink = sinks.defined() ? sinks.const_data_ptr<float>() : nullptr;
  a.out = kernel_output(out);
  kernels::cached_attention(a, parallel_tasks);
  return out;
}

}  // namespace

torch::Tensor cached_attention(const torch::Tensor& q, const torch::Tensor& k,
                               const torch::Tensor& v, const torch::Tensor& sink) {
  TORCH_CHECK(q.size(1) == 1, "cached_attention takes one new token per sequence, got ", q.sizes());
  const bool wants_gradient = torch::GradMode::is_enabled() &&
                              (q.requires_grad() || k.requires_grad() || v.requires_grad());
  if (!q.is_cpu() || !uses_fused_kernels(q) || wants_gradient)
    return plain_cached_attention(q, k, v, sink);
  return fused_cached_attention(q, k, v, sink);
}

}  // namespace zebra
