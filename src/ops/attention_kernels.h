#pragma once

#include <torch/library.h>

#include <cstdint>
#include <optional>
#include <tuple>

#include "ops/attention_operator.h"
#include "ops/fused_kernels.h"
#include "zebra_kernels/attention_tensors.h"

// From tensors to kernels: what the operators do on each device, for the files that register them
// under its dispatch key. What they ask of tensors is zebra_kernels/attention_tensors.h, which the
// Python package shares; allocation and launches here are LibTorch's own, with symbolic sizes and
// tensors without data, of which the package's stable ABI knows nothing.

namespace zebra {

using OptionalTensor = std::optional<torch::Tensor>;

/// The inputs of the two forms of the operators. The packed one throws c10::Error unless qkv can
/// have that many query heads.
AttentionInputs separate_inputs(const torch::Tensor& q, const torch::Tensor& k,
                                const torch::Tensor& v, std::int64_t window,
                                const OptionalTensor& cos, const OptionalTensor& sin,
                                const OptionalTensor& first_token);
AttentionInputs packed_inputs(const torch::Tensor& qkv, std::int64_t query_heads,
                              std::int64_t window, const OptionalTensor& cos,
                              const OptionalTensor& sin, const OptionalTensor& first_token);

/// The same with q, k and v as views.
AttentionInputs unpacked(const AttentionInputs& inputs);

/// c10::Error with a sentence unless the inputs, unpacked, fit together and a kernel takes them.
void check(const AttentionInputs& inputs);

inline kernels::HeadArray kernel_input(const torch::Tensor& x) {
  return {x.const_data_ptr(), x.stride(0), x.stride(1), x.stride(2)};
}

inline kernels::MutableHeadArray kernel_output(const torch::Tensor& x) {
  return {x.mutable_data_ptr(), x.stride(0), x.stride(1), x.stride(2)};
}

/// Unpacked inputs, which must outlive the result, as the checks and the kernels see them.
kernels::AttentionTensors described(const AttentionInputs& inputs);

inline kernels::LocalAttentionInputs kernel_inputs(const AttentionInputs& inputs) {
  return kernels::attention_inputs(described(inputs));
}

/// The operators of one device:
///   kHasData         false where tensors have shapes alone: nothing is checked or launched
///   kTakesLateQueries  whether kernels begin at the first query
///   (LocalAttentionShape::query_begin);
///                    else queries of zero stand before, whose result nobody reads
///   readable(x)      x, or a copy that the kernel can read in place
///   saved_bytes(shape), workspace_bytes(shape)
///   launch(LocalAttentionForward or LocalAttentionBackward, saved, device)
/// Each function has the schema of the operator of its name (attention_operator.cpp).
template <class Device>
struct AttentionOperators {
  using Tensor = torch::Tensor;
  using Tensors = std::tuple<Tensor, Tensor, Tensor>;

  static Tensors forward(const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t window,
                         const OptionalTensor& cos, const OptionalTensor& sin,
                         const OptionalTensor& first_token) {
    return compute(separate_inputs(q, k, v, window, cos, sin, first_token));
  }

  static Tensors packed_forward(const Tensor& qkv, std::int64_t query_heads, std::int64_t window,
                                const OptionalTensor& cos, const OptionalTensor& sin,
                                const OptionalTensor& first_token) {
    return compute(unpacked(packed_inputs(qkv, query_heads, window, cos, sin, first_token)));
  }

  static Tensors backward(const Tensor& d_out, const Tensor& q, const Tensor& k, const Tensor& v,
                          std::int64_t window, const OptionalTensor& cos, const OptionalTensor& sin,
                          const OptionalTensor& first_token, const Tensor& out,
                          const Tensor& log_sum_exp, const Tensor& saved, bool has_sink) {
    const auto inputs = separate_inputs(q, k, v, window, cos, sin, first_token);
    const Tensors gradients = {empty_like(q), empty_like(k), empty_like(v)};
    differentiate(d_out, inputs, {.out = out, .log_sum_exp = log_sum_exp, .saved = saved}, has_sink,
                  gradients);
    return gradients;
  }

  /// The gradients of q, k and v are views of one array.
  static Tensor packed_backward(const Tensor& d_out, const Tensor& qkv, std::int64_t query_heads,
                                std::int64_t window, const OptionalTensor& cos,
                                const OptionalTensor& sin, const OptionalTensor& first_token,
                                const Tensor& out, const Tensor& log_sum_exp, const Tensor& saved,
                                bool has_sink) {
    const auto inputs = packed_inputs(qkv, query_heads, window, cos, sin, first_token);
    const PackedHeads gradient = {empty_like(qkv), query_heads};
    differentiate(d_out, unpacked(inputs), {.out = out, .log_sum_exp = log_sum_exp, .saved = saved},
                  has_sink, {gradient.q(), gradient.k(), gradient.v()});
    return gradient.heads;
  }

  static void register_in(torch::Library& library) {
    library.impl("local_attention_forward", forward);
    library.impl("local_attention_backward", backward);
    library.impl("packed_local_attention_forward", packed_forward);
    library.impl("packed_local_attention_backward", packed_backward);
  }

 private:
  static std::int64_t first_query(const AttentionInputs& in) { return in.k.size(1) - in.q.size(1); }
  static Tensor with_zeros_before(const Tensor& x, std::int64_t dim, std::int64_t count) {
    auto shape = x.sizes().vec();
    shape[static_cast<std::size_t>(dim)] = count;
    return torch::cat({torch::zeros(shape, x.options()), x}, dim);
  }
  static AttentionInputs with_all_queries(AttentionInputs in) {
    in.q = with_zeros_before(in.q, 1, first_query(in));
    return in;
  }
  static Tensor empty_like(const Tensor& x) {
    return torch::empty_symint(x.sym_sizes(), x.options());
  }

  /// What is launched must be there: sizes are numbers, rows can be read in place.
  static AttentionInputs readable(AttentionInputs in) {
    const auto contiguous = [](Tensor& x) {
      if (x.defined()) x = x.contiguous();
    };
    for (Tensor* x : {&in.q, &in.k, &in.v}) *x = Device::readable(*x);
    for (Tensor* x : {&in.rotary.cos, &in.rotary.sin, &in.first_token}) contiguous(*x);
    return in;
  }

  /// out, log_sum_exp and what the kernel leaves for its backward (how much is its own affair: no
  /// shape depends on it).
  static Tensors compute(const AttentionInputs& in) {
    const auto& q = in.q;
    if constexpr (Device::kHasData) check(in);
    if constexpr (!Device::kTakesLateQueries) {
      if (const auto begin = first_query(in); begin > 0) {
        const auto [out, log_sum_exp, saved] = compute(with_all_queries(in));
        const auto late = [&](const Tensor& x, std::int64_t dim) {
          return x.narrow(dim, begin, x.size(dim) - begin).contiguous();
        };
        return {late(out, 1), late(log_sum_exp, 2), saved};
      }
    }
    const auto out = empty_like(q);
    const auto log_sum_exp = torch::empty_symint({q.sym_size(0), q.sym_size(2), q.sym_size(1)},
                                                 q.options().dtype(torch::kFloat32));
    auto saved = torch::empty({0}, q.options().dtype(torch::kUInt8));
    if constexpr (Device::kHasData) {
      const auto read = readable(in);
      const auto inputs = kernel_inputs(read);
      saved.resize_({static_cast<std::int64_t>(Device::saved_bytes(inputs.shape))});
      Device::launch(kernels::LocalAttentionForward{inputs, kernel_output(out),
                                                    log_sum_exp.mutable_data_ptr<float>()},
                     saved, q.device());
    }
    return {out, log_sum_exp, saved};
  }

  /// Writes into the given gradients of q, k and v, of any strides that the kernel can write.
  static void differentiate(const Tensor& d_out, const AttentionInputs& in,
                            const AttentionResult& result, bool has_sink,
                            const Tensors& gradients) {
    if constexpr (!Device::kTakesLateQueries) {
      if (const auto begin = first_query(in); begin > 0) {
        const auto whole = with_all_queries(in);
        const auto& [dq, dk, dv] = gradients;
        const auto whole_dq = empty_like(whole.q);
        auto whole_result = result;
        whole_result.out = with_zeros_before(result.out, 1, begin);
        whole_result.log_sum_exp = with_zeros_before(result.log_sum_exp, 2, begin);
        differentiate(with_zeros_before(d_out, 1, begin), whole, whole_result, has_sink,
                      {whole_dq, dk, dv});
        dq.copy_(whole_dq.narrow(1, begin, dq.size(1)));
        return;
      }
    }
    if constexpr (Device::kHasData) {
      const auto read = readable(in);
      const auto read_d_out = Device::readable(d_out);
      kernels::LocalAttentionBackward a;
      a.inputs = kernel_inputs(read);
      a.out = kernel_input(result.out);
      a.log_sum_exp = result.log_sum_exp.const_data_ptr<float>();
      a.has_sink = has_sink;
      a.d_out = kernel_input(read_d_out);
      a.dq = kernel_output(std::get<0>(gradients));
      a.dk = kernel_output(std::get<1>(gradients));
      a.dv = kernel_output(std::get<2>(gradients));
      const auto bytes = static_cast<std::int64_t>(Device::workspace_bytes(a.inputs.shape));
      const auto workspace = torch::empty({bytes}, in.q.options().dtype(torch::kUInt8));
      a.workspace = bytes > 0 ? workspace.mutable_data_ptr() : nullptr;
      Device::launch(a, result.saved, in.q.device());
    }
  }
};

// Which heads there are kernels for.
namespace cpu {
bool has_local_attention(std::int64_t head_size);
}
namespace cuda {
bool has_local_attention(std::int64_t head_size);
}

}  // namespace zebra
