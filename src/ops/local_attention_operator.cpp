#include "ops/local_attention_operator.h"

#include <torch/library.h>

#include "ops/local_attention_kernel.h"

namespace zebra {
namespace {

using ForwardResult = std::tuple<torch::Tensor, torch::Tensor, torch::Tensor>;
using Gradients = std::tuple<torch::Tensor, torch::Tensor, torch::Tensor>;

// The two devices that have kernels, behind one set of functions.
struct DeviceKernels {
  bool (*has_local_attention)(std::int64_t head_size);
  torch::Tensor (*readable)(const torch::Tensor&);
  std::int64_t (*saved_bytes)(const kernels::LocalAttentionShape&);
  void (*forward)(const LocalAttentionArguments&, const LocalAttentionOutputs&);
  void (*backward)(const LocalAttentionArguments&, const LocalAttentionOutputs&,
                   const torch::Tensor&, const LocalAttentionGradients&);
};

constexpr DeviceKernels kCpu = {cpu::has_local_attention, cpu::readable, cpu::saved_bytes,
                                cpu::forward, cpu::backward};
#ifdef ZEBRA_WITH_CUDA
constexpr DeviceKernels kGpu = {cuda::has_local_attention, cuda::readable, cuda::saved_bytes,
                                cuda::forward, cuda::backward};
#endif

/// Null where no kernel was built.
const DeviceKernels* kernels_for(const torch::Tensor& x) {
  if (x.is_cpu()) return &kCpu;
#ifdef ZEBRA_WITH_CUDA
  if (x.is_cuda()) return &kGpu;
#endif
  return nullptr;
}

bool has_kernel_type(const torch::Tensor& x) {
  return x.scalar_type() == torch::kFloat32 || x.scalar_type() == torch::kBFloat16;
}

void check(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
           std::int64_t window, const OptionalTensor& cos, const OptionalTensor& sin,
           const OptionalTensor& first_token) {
  TORCH_CHECK(q.dim() == 4 && k.dim() == 4 && k.sizes() == v.sizes(),
              "zebra::local_attention: q must be [B, T, Hq, D], k and v [B, T, Hkv, D], got ",
              q.sizes(), ", ", k.sizes(), " and ", v.sizes());
  TORCH_CHECK(q.size(0) == k.size(0) && q.size(1) == k.size(1) && q.size(3) == k.size(3),
              "zebra::local_attention: q, k and v must agree in B, T and D, got ", q.sizes(),
              " and ", k.sizes());
  TORCH_CHECK(k.size(2) > 0 && q.size(2) % k.size(2) == 0 && q.size(2) > 0,
              "zebra::local_attention: the query heads must be a multiple of the key heads, got ",
              q.size(2), " and ", k.size(2));
  TORCH_CHECK(has_kernel_type(q) && k.scalar_type() == q.scalar_type() &&
                  v.scalar_type() == q.scalar_type(),
              "zebra::local_attention: q, k and v must be all float32 or all bfloat16, got ",
              q.scalar_type(), ", ", k.scalar_type(), " and ", v.scalar_type());
  TORCH_CHECK(window >= 0, "zebra::local_attention: the window cannot be negative, got ", window);
  TORCH_CHECK(cos.has_value() == sin.has_value(),
              "zebra::local_attention: cos and sin must be given together");
  for (const auto& table : {cos, sin}) {
    if (!table) continue;
    const auto tail = table->sizes().slice(table->dim() == 3 ? 1 : 0);
    TORCH_CHECK(
        table->scalar_type() == torch::kFloat32 && (table->dim() == 2 || table->dim() == 3) &&
            (table->dim() == 2 || table->size(0) == q.size(0)) && tail[0] == q.size(1) &&
            2 * tail[1] == q.size(3) && table->sizes() == cos->sizes(),
        "zebra::local_attention: cos and sin must be float32 [T, D / 2] or [B, T, D / 2], got ",
        table->scalar_type(), " ", table->sizes());
  }
  TORCH_CHECK(!first_token || (first_token->scalar_type() == torch::kInt64 &&
                               first_token->sizes() == q.sizes().slice(0, 2)),
              "zebra::local_attention: first_token must be int64 [B, T]");
  for (const auto& x : {OptionalTensor(k), OptionalTensor(v), cos, sin, first_token}) {
    TORCH_CHECK(!x || x->device() == q.device(),
                "zebra::local_attention: all tensors must be on one device, got ", q.device(),
                " and ", x ? x->device() : q.device());
  }
}

torch::Tensor contiguous_or_absent(const OptionalTensor& x) {
  return x ? x->contiguous() : torch::Tensor();
}

LocalAttentionArguments kernel_arguments(const DeviceKernels& device, const torch::Tensor& q,
                                         const torch::Tensor& k, const torch::Tensor& v,
                                         std::int64_t window, const OptionalTensor& cos,
                                         const OptionalTensor& sin,
                                         const OptionalTensor& first_token) {
  return {device.readable(q),
          device.readable(k),
          device.readable(v),
          window,
          contiguous_or_absent(cos),
          contiguous_or_absent(sin),
          contiguous_or_absent(first_token)};
}

torch::Tensor empty_statistics(const torch::Tensor& q) {
  return torch::empty_symint({q.sym_size(0), q.sym_size(2), q.sym_size(1)},
                             q.options().dtype(torch::kFloat32));
}

ForwardResult forward(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                      std::int64_t window, const OptionalTensor& cos, const OptionalTensor& sin,
                      const OptionalTensor& first_token) {
  check(q, k, v, window, cos, sin, first_token);
  const DeviceKernels& device = *kernels_for(q);
  TORCH_CHECK(device.has_local_attention(q.size(3)),
              "zebra::local_attention: no kernel for heads of size ", q.size(3), " on ",
              q.device());
  const auto arguments = kernel_arguments(device, q, k, v, window, cos, sin, first_token);
  const auto bytes = device.saved_bytes(kernel_inputs(arguments).shape);
  const LocalAttentionOutputs outputs{torch::empty(q.sizes(), q.options()), empty_statistics(q),
                                      torch::empty({bytes}, q.options().dtype(torch::kUInt8))};
  device.forward(arguments, outputs);
  return {outputs.out, outputs.log_sum_exp, outputs.saved};
}

ForwardResult meta_forward(const torch::Tensor& q, const torch::Tensor&, const torch::Tensor&,
                           std::int64_t, const OptionalTensor&, const OptionalTensor&,
                           const OptionalTensor&) {
  // How much a kernel leaves for its backward is its own affair: no shape depends on it.
  return {torch::empty_symint(q.sym_sizes(), q.options()), empty_statistics(q),
          torch::empty({0}, q.options().dtype(torch::kUInt8))};
}

void run_backward(const torch::Tensor& d_out, const torch::Tensor& q, const torch::Tensor& k,
                  const torch::Tensor& v, std::int64_t window, const OptionalTensor& cos,
                  const OptionalTensor& sin, const OptionalTensor& first_token,
                  const LocalAttentionOutputs& outputs, const LocalAttentionGradients& gradients) {
  const DeviceKernels& device = *kernels_for(q);
  device.backward(kernel_arguments(device, q, k, v, window, cos, sin, first_token), outputs,
                  device.readable(d_out), gradients);
}

Gradients backward(const torch::Tensor& d_out, const torch::Tensor& q, const torch::Tensor& k,
                   const torch::Tensor& v, std::int64_t window, const OptionalTensor& cos,
                   const OptionalTensor& sin, const OptionalTensor& first_token,
                   const torch::Tensor& out, const torch::Tensor& log_sum_exp,
                   const torch::Tensor& saved) {
  const LocalAttentionGradients gradients{torch::empty(q.sizes(), q.options()),
                                          torch::empty(k.sizes(), k.options()),
                                          torch::empty(v.sizes(), v.options())};
  run_backward(d_out, q, k, v, window, cos, sin, first_token, {out, log_sum_exp, saved}, gradients);
  return {gradients.dq, gradients.dk, gradients.dv};
}

Gradients meta_backward(const torch::Tensor&, const torch::Tensor& q, const torch::Tensor& k,
                        const torch::Tensor& v, std::int64_t, const OptionalTensor&,
                        const OptionalTensor&, const OptionalTensor&, const torch::Tensor&,
                        const torch::Tensor&, const torch::Tensor&) {
  const auto contiguous = [](const torch::Tensor& x) {
    return torch::empty_symint(x.sym_sizes(), x.options());
  };
  return {contiguous(q), contiguous(k), contiguous(v)};
}

// Views of a packed projection, or of its gradient.
struct Parts {
  Parts(const torch::Tensor& packed, std::int64_t query_heads) {
    TORCH_CHECK(packed.dim() == 4 && query_heads > 0 && query_heads < packed.size(2) &&
                    (packed.size(2) - query_heads) % 2 == 0,
                "zebra::packed_local_attention: qkv must be [B, T, Hq + 2 Hkv, D], got ",
                packed.sizes(), " with ", query_heads, " query heads");
    const auto key_heads = (packed.size(2) - query_heads) / 2;
    q = packed.narrow(2, 0, query_heads);
    k = packed.narrow(2, query_heads, key_heads);
    v = packed.narrow(2, query_heads + key_heads, key_heads);
  }
  torch::Tensor q, k, v;
};

ForwardResult packed_forward(const torch::Tensor& qkv, std::int64_t query_heads,
                             std::int64_t window, const OptionalTensor& cos,
                             const OptionalTensor& sin, const OptionalTensor& first_token) {
  const Parts parts(qkv, query_heads);
  return forward(parts.q, parts.k, parts.v, window, cos, sin, first_token);
}

ForwardResult meta_packed_forward(const torch::Tensor& qkv, std::int64_t query_heads,
                                  std::int64_t window, const OptionalTensor& cos,
                                  const OptionalTensor& sin, const OptionalTensor& first_token) {
  const Parts parts(qkv, query_heads);
  return meta_forward(parts.q, parts.k, parts.v, window, cos, sin, first_token);
}

torch::Tensor packed_backward(const torch::Tensor& d_out, const torch::Tensor& qkv,
                              std::int64_t query_heads, std::int64_t window,
                              const OptionalTensor& cos, const OptionalTensor& sin,
                              const OptionalTensor& first_token, const torch::Tensor& out,
                              const torch::Tensor& log_sum_exp, const torch::Tensor& saved,
                              bool has_sink) {
  const auto gradient = torch::empty(qkv.sizes(), qkv.options());
  const Parts parts(qkv, query_heads), gradients(gradient, query_heads);
  run_backward(d_out, parts.q, parts.k, parts.v, window, cos, sin, first_token,
               {out, log_sum_exp, saved, has_sink}, {gradients.q, gradients.k, gradients.v});
  return gradient;
}

torch::Tensor meta_packed_backward(const torch::Tensor&, const torch::Tensor& qkv, std::int64_t,
                                   std::int64_t, const OptionalTensor&, const OptionalTensor&,
                                   const OptionalTensor&, const torch::Tensor&,
                                   const torch::Tensor&, const torch::Tensor&, bool) {
  return torch::empty_symint(qkv.sym_sizes(), qkv.options());
}

}  // namespace

bool has_local_attention_kernel(const torch::Tensor& q) {
  const DeviceKernels* device = kernels_for(q);
  return device != nullptr && has_kernel_type(q) && device->has_local_attention(q.size(3));
}

TORCH_LIBRARY(zebra, m) {
  m.def(
      "local_attention(Tensor q, Tensor k, Tensor v, int window, Tensor? cos=None, "
      "Tensor? sin=None, Tensor? first_token=None) -> Tensor");
  m.def(
      "packed_local_attention(Tensor qkv, int query_heads, int window, Tensor? cos=None, "
      "Tensor? sin=None, Tensor? first_token=None) -> Tensor");
  m.def(
      "local_attention_forward(Tensor q, Tensor k, Tensor v, int window, Tensor? cos, Tensor? sin, "
      "Tensor? first_token) -> (Tensor out, Tensor log_sum_exp, Tensor saved)");
  m.def(
      "local_attention_backward(Tensor d_out, Tensor q, Tensor k, Tensor v, int window, "
      "Tensor? cos, Tensor? sin, Tensor? first_token, Tensor out, Tensor log_sum_exp, "
      "Tensor saved) -> (Tensor dq, Tensor dk, Tensor dv)");
  m.def(
      "packed_local_attention_forward(Tensor qkv, int query_heads, int window, Tensor? cos, "
      "Tensor? sin, Tensor? first_token) -> (Tensor out, Tensor log_sum_exp, Tensor saved)");
  m.def(
      "packed_local_attention_backward(Tensor d_out, Tensor qkv, int query_heads, int window, "
      "Tensor? cos, Tensor? sin, Tensor? first_token, Tensor out, Tensor log_sum_exp, "
      "Tensor saved, bool has_sink=False) -> Tensor");
}

void register_kernels(torch::Library& m) {
  m.impl("local_attention_forward", forward);
  m.impl("local_attention_backward", backward);
  m.impl("packed_local_attention_forward", packed_forward);
  m.impl("packed_local_attention_backward", packed_backward);
}

TORCH_LIBRARY_IMPL(zebra, CPU, m) { register_kernels(m); }
#ifdef ZEBRA_WITH_CUDA
TORCH_LIBRARY_IMPL(zebra, CUDA, m) { register_kernels(m); }
#endif

TORCH_LIBRARY_IMPL(zebra, Meta, m) {
  m.impl("local_attention_forward", meta_forward);
  m.impl("local_attention_backward", meta_backward);
  m.impl("packed_local_attention_forward", meta_packed_forward);
  m.impl("packed_local_attention_backward", meta_packed_backward);
}

}  // namespace zebra
