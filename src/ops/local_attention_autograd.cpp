#include <torch/library.h>

#include <torch/csrc/autograd/custom_function.h>

#include "ops/attention_sink.h"
#include "ops/local_attention_operator.h"

// The differentiable half of the operators. The kernels are reached through the dispatcher, so
// that a tracer or a tensor without data sees the same calls.

namespace zebra {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Tensor = torch::Tensor;

using Forward = std::tuple<Tensor, Tensor, Tensor>(const Tensor& q, const Tensor& k,
                                                   const Tensor& v, std::int64_t window,
                                                   const OptionalTensor& cos,
                                                   const OptionalTensor& sin,
                                                   const OptionalTensor& first_token);
using Backward = std::tuple<Tensor, Tensor, Tensor>(
    const Tensor& d_out, const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t window,
    const OptionalTensor& cos, const OptionalTensor& sin, const OptionalTensor& first_token,
    const Tensor& out, const Tensor& log_sum_exp, const Tensor& saved);
using PackedForward = std::tuple<Tensor, Tensor, Tensor>(
    const Tensor& qkv, std::int64_t query_heads, std::int64_t window, const OptionalTensor& cos,
    const OptionalTensor& sin, const OptionalTensor& first_token);
using PackedBackward = Tensor(const Tensor& d_out, const Tensor& qkv, std::int64_t query_heads,
                              std::int64_t window, const OptionalTensor& cos,
                              const OptionalTensor& sin, const OptionalTensor& first_token,
                              const Tensor& out, const Tensor& log_sum_exp, const Tensor& saved,
                              bool has_sink);

template <class Signature>
c10::TypedOperatorHandle<Signature> find_operator(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

AttentionResult compute(const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t window,
                        const OptionalTensor& cos, const OptionalTensor& sin,
                        const OptionalTensor& first_token) {
  static const auto op = find_operator<Forward>("zebra::local_attention_forward");
  const at::AutoDispatchBelowADInplaceOrView guard;
  const auto [out, log_sum_exp, saved] = op.call(q, k, v, window, cos, sin, first_token);
  return {out, log_sum_exp, saved};
}

AttentionResult compute_packed(const Tensor& qkv, std::int64_t query_heads, std::int64_t window,
                               const OptionalTensor& cos, const OptionalTensor& sin,
                               const OptionalTensor& first_token) {
  static const auto op = find_operator<PackedForward>("zebra::packed_local_attention_forward");
  const at::AutoDispatchBelowADInplaceOrView guard;
  const auto [out, log_sum_exp, saved] = op.call(qkv, query_heads, window, cos, sin, first_token);
  return {out, log_sum_exp, saved};
}

void save(AutogradContext* context, const variable_list& inputs, std::int64_t window,
          const OptionalTensor& cos, const OptionalTensor& sin, const OptionalTensor& first_token,
          const AttentionResult& result) {
  auto saved = inputs;
  saved.insert(saved.end(), {result.out, result.log_sum_exp, result.saved, cos.value_or(Tensor()),
                             sin.value_or(Tensor()), first_token.value_or(Tensor())});
  context->save_for_backward(saved);
  context->saved_data["window"] = window;
}

OptionalTensor optional(const Tensor& x) { return x.defined() ? OptionalTensor(x) : std::nullopt; }

// These functions give a result its gradient and compute nothing themselves: whether the result is
// a new one or was kept from an earlier call is all the same to them. Their output is an alias, for
// the tensor in the result must not get a history.

class LocalAttention : public torch::autograd::Function<LocalAttention> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& q, const Tensor& k, const Tensor& v,
                        std::int64_t window, const OptionalTensor& cos, const OptionalTensor& sin,
                        const OptionalTensor& first_token, const AttentionResult& result) {
    save(context, {q, k, v}, window, cos, sin, first_token, result);
    return result.out.detach();
  }

  static variable_list backward(AutogradContext* context, const variable_list& d_out) {
    static const auto op = find_operator<Backward>("zebra::local_attention_backward");
    const auto s = context->get_saved_variables();
    const auto [dq, dk, dv] =
        op.call(d_out[0], s[0], s[1], s[2], context->saved_data["window"].toInt(), optional(s[6]),
                optional(s[7]), optional(s[8]), s[3], s[4], s[5]);
    return {dq, dk, dv, {}, {}, {}, {}, {}};
  }
};

class PackedLocalAttention : public torch::autograd::Function<PackedLocalAttention> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& qkv, const OptionalTensor& sink,
                        std::int64_t query_heads, std::int64_t window, const OptionalTensor& cos,
                        const OptionalTensor& sin, const OptionalTensor& first_token,
                        const AttentionResult& result) {
    save(context, {qkv, sink.value_or(Tensor())}, window, cos, sin, first_token, result);
    context->saved_data["query_heads"] = query_heads;
    return result.out.detach();
  }

  static variable_list backward(AutogradContext* context, const variable_list& d_out) {
    static const auto op = find_operator<PackedBackward>("zebra::packed_local_attention_backward");
    const auto s = context->get_saved_variables();
    const auto gradient = op.call(d_out[0], s[0], context->saved_data["query_heads"].toInt(),
                                  context->saved_data["window"].toInt(), optional(s[5]),
                                  optional(s[6]), optional(s[7]), s[2], s[3], s[4], s[1].defined());
    const auto& sink = s[1];
    const auto of_sink =
        sink.defined() ? sink_gradient(d_out[0], {s[2], s[3], s[4]}, sink) : Tensor();
    return {gradient, of_sink, {}, {}, {}, {}, {}, {}};
  }
};

Tensor differentiable(const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t window,
                      const OptionalTensor& cos, const OptionalTensor& sin,
                      const OptionalTensor& first_token) {
  const auto result = compute(q, k, v, window, cos, sin, first_token);
  return LocalAttention::apply(q, k, v, window, cos, sin, first_token, result);
}

Tensor packed_differentiable(const Tensor& qkv, std::int64_t query_heads, std::int64_t window,
                             const OptionalTensor& cos, const OptionalTensor& sin,
                             const OptionalTensor& first_token) {
  const auto result = compute_packed(qkv, query_heads, window, cos, sin, first_token);
  return PackedLocalAttention::apply(qkv, OptionalTensor(), query_heads, window, cos, sin,
                                     first_token, result);
}

Tensor output_only(const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t window,
                   const OptionalTensor& cos, const OptionalTensor& sin,
                   const OptionalTensor& first_token) {
  return compute(q, k, v, window, cos, sin, first_token).out;
}

Tensor packed_output_only(const Tensor& qkv, std::int64_t query_heads, std::int64_t window,
                          const OptionalTensor& cos, const OptionalTensor& sin,
                          const OptionalTensor& first_token) {
  return compute_packed(qkv, query_heads, window, cos, sin, first_token).out;
}

}  // namespace

Tensor local_attention_operator(const Tensor& q, const Tensor& k, const Tensor& v,
                                std::int64_t window, const OptionalTensor& cos,
                                const OptionalTensor& sin, const OptionalTensor& first_token) {
  static const auto op = find_operator<decltype(differentiable)>("zebra::local_attention");
  return op.call(q, k, v, window, cos, sin, first_token);
}

Tensor packed_local_attention_operator(const Tensor& qkv, std::int64_t query_heads,
                                       std::int64_t window, const OptionalTensor& cos,
                                       const OptionalTensor& sin,
                                       const OptionalTensor& first_token) {
  static const auto op =
      find_operator<decltype(packed_differentiable)>("zebra::packed_local_attention");
  return op.call(qkv, query_heads, window, cos, sin, first_token);
}

AttentionResult packed_local_attention_result(const Tensor& qkv, std::int64_t query_heads,
                                              std::int64_t window, const OptionalTensor& cos,
                                              const OptionalTensor& sin,
                                              const OptionalTensor& first_token) {
  return compute_packed(qkv, query_heads, window, cos, sin, first_token);
}

Tensor packed_local_attention_output(const Tensor& qkv, std::int64_t query_heads,
                                     std::int64_t window, const OptionalTensor& cos,
                                     const OptionalTensor& sin, const OptionalTensor& first_token,
                                     const AttentionResult& result, const OptionalTensor& sink) {
  TORCH_CHECK(result.out.sizes() == qkv.narrow(2, 0, query_heads).sizes(),
              "packed_local_attention_output: a result of ", result.out.sizes(),
              " cannot be that of qkv ", qkv.sizes(), " with ", query_heads, " query heads");
  return PackedLocalAttention::apply(qkv, sink, query_heads, window, cos, sin, first_token, result);
}

TORCH_LIBRARY_IMPL(zebra, CompositeExplicitAutograd, m) {
  m.impl("local_attention", output_only);
  m.impl("packed_local_attention", packed_output_only);
}

TORCH_LIBRARY_IMPL(zebra, Autograd, m) {
  m.impl("local_attention", differentiable);
  m.impl("packed_local_attention", packed_differentiable);
}

}  // namespace zebra
