#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "zebra_kernels/attention_tensors.h"

// The two operators on one device, on tensors of LibTorch's stable ABI: C functions that every
// version since 2.10 has, so that one library serves them all.
//
// What they ask of tensors is zebra_kernels/attention_tensors.h, as for src/ops. The rest cannot be
// one with src/ops/attention_kernels.h: the stable ABI has no symbolic sizes, no Meta kernels and
// no autograd, which are Python's here (zebra_attention/operators.py), and a file that is compiled
// for it sees no torch::Tensor.

namespace zebra::stable {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using OptionalTensor = std::optional<Tensor>;
using Tensors = std::tuple<Tensor, Tensor, Tensor>;

inline kernels::TensorDescription description(const Tensor& x) {
  const auto sizes = x.sizes(), strides = x.strides();
  const auto type = x.scalar_type();
  return {.data = x.const_data_ptr(),
          .sizes = {sizes.begin(), sizes.end()},
          .strides = {strides.begin(), strides.end()},
          .type = type == ScalarType::Float      ? kernels::TensorType::kFloat32
                  : type == ScalarType::BFloat16 ? kernels::TensorType::kBfloat16
                  : type == ScalarType::Long     ? kernels::TensorType::kInt64
                                                 : kernels::TensorType::kOther,
          .type_name = torch::headeronly::toString(type),
          .device = x.is_cpu() ? "cpu" : "cuda:" + std::to_string(x.get_device_index())};
}

inline std::optional<kernels::TensorDescription> description(const OptionalTensor& x) {
  return x.has_value() ? std::optional(description(*x)) : std::nullopt;
}

inline kernels::HeadArray read_array(const Tensor& x) {
  return {x.const_data_ptr(), x.stride(0), x.stride(1), x.stride(2)};
}
inline kernels::MutableHeadArray written_array(const Tensor& x) {
  return {x.mutable_data_ptr(), x.stride(0), x.stride(1), x.stride(2)};
}

inline Tensor allocate(const Tensor& like, const std::vector<std::int64_t>& sizes,
                       ScalarType type) {
  return torch::stable::new_empty(like, {sizes.data(), sizes.size()}, type);
}

/// q, k and v of one projection [B, T, Hq + 2 Hkv, D], as views.
inline Tensors split(Tensor heads, std::int64_t query_heads) {
  const auto key_heads = (heads.size(2) - query_heads) / 2;
  return {torch::stable::narrow(heads, 2, 0, query_heads),
          torch::stable::narrow(heads, 2, query_heads, key_heads),
          torch::stable::narrow(heads, 2, query_heads + key_heads, key_heads)};
}

/// What both operators are given. q, k and v are separate, or views of one projection.
struct Inputs {
  Tensor q, k, v;
  std::int64_t window;
  OptionalTensor cos, sin, first_token;

  kernels::AttentionTensors described() const {
    return {.q = description(q),
            .k = description(k),
            .v = description(v),
            .cos = description(cos),
            .sin = description(sin),
            .first_token = description(first_token),
            .window = window};
  }
};

/// The operators of one device:
///   readable(x)      x, or a copy that the kernel can read in place
///   saved_bytes(shape), workspace_bytes(shape)
///   launch(LocalAttentionForward or LocalAttentionBackward, saved, device index)
/// With query_heads = 0 k and v are tensors of their own, else q is the whole projection. All throw
/// std::invalid_argument with a sentence for arguments that do not fit.
template <class Device>
struct Operators {
  /// out, log_sum_exp, and what the kernel leaves for its backward.
  static Tensors forward(const Tensor& q, const OptionalTensor& k, const OptionalTensor& v,
                         std::int64_t query_heads, std::int64_t window, const OptionalTensor& cos,
                         const OptionalTensor& sin, const OptionalTensor& first_token) {
    const auto in = readable(checked(q, k, v, query_heads, window, cos, sin, first_token));
    const auto batch = in.q.size(0), length = in.q.size(1), heads = in.q.size(2);
    const auto out = allocate(in.q, {batch, length, heads, in.q.size(3)}, in.q.scalar_type());
    const auto log_sum_exp = allocate(in.q, {batch, heads, length}, ScalarType::Float);
    const auto inputs = kernels::attention_inputs(in.described());
    const auto saved = bytes(in.q, Device::saved_bytes(inputs.shape));
    Device::launch(
        kernels::LocalAttentionForward{inputs, written_array(out),
                                       static_cast<float*>(log_sum_exp.mutable_data_ptr())},
        saved, in.q.get_device_index());
    return {out, log_sum_exp, saved};
  }

  /// The gradients of q, k and v; of a projection its own, and two tensors without elements.
  static Tensors backward(const Tensor& d_out, const Tensor& q, const OptionalTensor& k,
                          const OptionalTensor& v, std::int64_t query_heads, std::int64_t window,
                          const OptionalTensor& cos, const OptionalTensor& sin,
                          const OptionalTensor& first_token, const Tensor& out,
                          const Tensor& log_sum_exp, const Tensor& saved, bool has_sink) {
    const auto in = readable(checked(q, k, v, query_heads, window, cos, sin, first_token));
    const auto read_d_out = Device::readable(d_out);
    const auto like = [](const Tensor& x) {
      const auto sizes = x.sizes();
      return allocate(x, {sizes.begin(), sizes.end()}, x.scalar_type());
    };
    const bool packed = query_heads > 0;
    const Tensors gradients = packed ? Tensors{like(q), allocate(q, {0}, q.scalar_type()),
                                               allocate(q, {0}, q.scalar_type())}
                                     : Tensors{like(q), like(*k), like(*v)};
    const auto [dq, dk, dv] =
        packed ? split(std::get<0>(gradients), query_heads) : Tensors(gradients);

    kernels::LocalAttentionBackward a;
    a.inputs = kernels::attention_inputs(in.described());
    a.out = read_array(out);
    a.log_sum_exp = static_cast<const float*>(log_sum_exp.const_data_ptr());
    a.has_sink = has_sink;
    a.d_out = read_array(read_d_out);
    a.dq = written_array(dq);
    a.dk = written_array(dk);
    a.dv = written_array(dv);
    const auto workspace = bytes(in.q, Device::workspace_bytes(a.inputs.shape));
    a.workspace = workspace.numel() > 0 ? workspace.mutable_data_ptr() : nullptr;
    Device::launch(a, saved, in.q.get_device_index());
    return gradients;
  }

 private:
  static Tensor bytes(const Tensor& like, std::size_t count) {
    return allocate(like, {static_cast<std::int64_t>(count)}, ScalarType::Byte);
  }

  static Inputs checked(const Tensor& q, const OptionalTensor& k, const OptionalTensor& v,
                        std::int64_t query_heads, std::int64_t window, const OptionalTensor& cos,
                        const OptionalTensor& sin, const OptionalTensor& first_token) {
    if (query_heads > 0) {
      const auto sizes = q.sizes();
      kernels::check_packed({sizes.begin(), sizes.end()}, query_heads);
    } else if (!k.has_value() || !v.has_value()) {
      throw std::invalid_argument("local attention: k and v are missing.");
    }
    const auto [a, b, c] = query_heads > 0 ? split(q, query_heads) : Tensors{q, *k, *v};
    const Inputs inputs = {a, b, c, window, cos, sin, first_token};
    kernels::check(inputs.described());
    return inputs;
  }

  static Inputs readable(Inputs in) {
    for (Tensor* x : {&in.q, &in.k, &in.v}) *x = Device::readable(*x);
    for (OptionalTensor* x : {&in.cos, &in.sin, &in.first_token}) {
      if (x->has_value()) *x = torch::stable::contiguous(**x);
    }
    return in;
  }
};

}  // namespace zebra::stable
