#include "ops/attention_operator.h"

#include <torch/csrc/autograd/custom_function.h>

#include <stdexcept>

#include "ops/attention_kernels.h"

namespace zebra {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Tensors without data.
struct MetaKernels {
  static constexpr bool kHasData = false, kTakesLateQueries = true;
};
using MetaOperators = AttentionOperators<MetaKernels>;

OptionalTensor optional(const Tensor& x) { return x.defined() ? OptionalTensor(x) : std::nullopt; }

// The differentiable half of the operators reaches the kernels through the dispatcher, so that a
// tracer or a tensor without data sees the same calls.
template <class Signature>
c10::TypedOperatorHandle<Signature> find_operator(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

/// The one of the two operators that takes these inputs.
template <class Separate, class Packed>
auto call(const Separate& separate, const Packed& packed, const AttentionInputs& in) {
  const auto cos = optional(in.rotary.cos), sin = optional(in.rotary.sin),
             first_token = optional(in.first_token);
  return in.is_packed() ? packed.call(in.q, in.query_heads, in.window, cos, sin, first_token)
                        : separate.call(in.q, in.k, in.v, in.window, cos, sin, first_token);
}

AttentionResult compute(const AttentionInputs& in) {
  using Operators = MetaOperators;  // all have the same types
  static const auto separate =
      find_operator<decltype(Operators::forward)>("zebra::local_attention_forward");
  static const auto packed =
      find_operator<decltype(Operators::packed_forward)>("zebra::packed_local_attention_forward");
  const at::AutoDispatchBelowADInplaceOrView guard;
  const auto [out, log_sum_exp, saved] = call(separate, packed, in);
  return {.out = out, .log_sum_exp = log_sum_exp, .saved = saved};
}

// Gives a result its gradient and computes nothing itself: whether the result is a new one or was
// saved by an earlier call is all the same to it. Its output is an alias, for the tensor in the
// result must not get a history.
class LocalAttention : public torch::autograd::Function<LocalAttention> {
 public:
  // q, k and v are those of `inputs`, k and v absent when packed.
  static Tensor forward(AutogradContext* context, const Tensor& q, const OptionalTensor& k,
                        const OptionalTensor& v, const OptionalTensor& sink,
                        const AttentionInputs& in, const AttentionResult& result) {
    context->save_for_backward({q, k.value_or(Tensor()), v.value_or(Tensor()),
                                sink.value_or(Tensor()), in.rotary.cos, in.rotary.sin,
                                in.first_token, result.out, result.log_sum_exp, result.saved});
    context->saved_data["query_heads"] = in.query_heads;
    context->saved_data["window"] = in.window;
    return result.out.detach();
  }

  static variable_list backward(AutogradContext* context, const variable_list& d_out) {
    using Operators = MetaOperators;
    static const auto separate =
        find_operator<decltype(Operators::backward)>("zebra::local_attention_backward");
    static const auto packed = find_operator<decltype(Operators::packed_backward)>(
        "zebra::packed_local_attention_backward");
    const auto s = context->get_saved_variables();
    const auto &q = s[0], &k = s[1], &v = s[2], &sink = s[3];
    const auto cos = optional(s[4]), sin = optional(s[5]), first_token = optional(s[6]);
    const AttentionResult result = {.out = s[7], .log_sum_exp = s[8], .saved = s[9]};
    const auto query_heads = context->saved_data["query_heads"].toInt();
    const auto window = context->saved_data["window"].toInt();
    if (query_heads == 0) {
      const auto [dq, dk, dv] =
          separate.call(d_out[0], q, k, v, window, cos, sin, first_token, result.out,
                        result.log_sum_exp, result.saved, /*has_sink=*/false);
      return {dq, dk, dv, {}, {}, {}};
    }
    const auto d_packed = packed.call(d_out[0], q, query_heads, window, cos, sin, first_token,
                                      result.out, result.log_sum_exp, result.saved, sink.defined());
    const auto d_sink = sink.defined() ? sink_gradient(d_out[0], result, sink) : Tensor();
    return {d_packed, {}, {}, d_sink, {}, {}};
  }
};

Tensor with_gradient(const AttentionInputs& in, const AttentionResult& result, const Tensor& sink) {
  return LocalAttention::apply(in.q, optional(in.k), optional(in.v), optional(sink), in, result);
}

// The two operators, with and without a gradient.

template <bool kDifferentiable>
Tensor attend(const AttentionInputs& in) {
  const auto result = compute(in);
  return kDifferentiable ? with_gradient(in, result, /*sink=*/{}) : result.out;
}

template <bool kDifferentiable>
Tensor separate_attention(const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t window,
                          const OptionalTensor& cos, const OptionalTensor& sin,
                          const OptionalTensor& first_token) {
  return attend<kDifferentiable>(separate_inputs(q, k, v, window, cos, sin, first_token));
}

template <bool kDifferentiable>
Tensor packed_attention(const Tensor& qkv, std::int64_t query_heads, std::int64_t window,
                        const OptionalTensor& cos, const OptionalTensor& sin,
                        const OptionalTensor& first_token) {
  return attend<kDifferentiable>(packed_inputs(qkv, query_heads, window, cos, sin, first_token));
}

Tensor call_operator(const AttentionInputs& in) {
  static const auto separate =
      find_operator<decltype(separate_attention<true>)>("zebra::local_attention");
  static const auto packed =
      find_operator<decltype(packed_attention<true>)>("zebra::packed_local_attention");
  return call(separate, packed, in);
}

kernels::TensorDescription description(const Tensor& x) {
  const auto type = x.scalar_type();
  return {.data = x.const_data_ptr(),
          .sizes = x.sizes().vec(),
          .strides = x.strides().vec(),
          .type = type == torch::kFloat32    ? kernels::TensorType::kFloat32
                  : type == torch::kBFloat16 ? kernels::TensorType::kBfloat16
                  : type == torch::kInt64    ? kernels::TensorType::kInt64
                                             : kernels::TensorType::kOther,
          .type_name = c10::toString(type),
          .device = x.device().str()};
}

std::optional<kernels::TensorDescription> optional_description(const Tensor& x) {
  return x.defined() ? std::optional(description(x)) : std::nullopt;
}

/// What a check of the kernels says, as LibTorch's operators say it.
template <class Check>
void as_torch_error(const Check& check) {
  try {
    check();
  } catch (const std::invalid_argument& error) {
    TORCH_CHECK(false, error.what());
  }
}

// [Hq] beside log-sum-exps [B, Hq, T].
torch::Tensor beside_log_sum_exp(const torch::Tensor& sink) {
  return sink.detach().to(torch::kFloat32).view({1, -1, 1});
}

}  // namespace

AttentionInputs separate_inputs(const Tensor& q, const Tensor& k, const Tensor& v,
                                std::int64_t window, const OptionalTensor& cos,
                                const OptionalTensor& sin, const OptionalTensor& first_token) {
  return {.q = q,
          .k = k,
          .v = v,
          .window = window,
          .rotary = {cos.value_or(Tensor()), sin.value_or(Tensor())},
          .first_token = first_token.value_or(Tensor())};
}

AttentionInputs packed_inputs(const Tensor& qkv, std::int64_t query_heads, std::int64_t window,
                              const OptionalTensor& cos, const OptionalTensor& sin,
                              const OptionalTensor& first_token) {
  as_torch_error([&] { kernels::check_packed(qkv.sizes().vec(), query_heads); });
  auto inputs = separate_inputs(qkv, {}, {}, window, cos, sin, first_token);
  inputs.query_heads = query_heads;
  return inputs;
}

AttentionInputs unpacked(const AttentionInputs& inputs) {
  const PackedHeads packed = {inputs.q, inputs.query_heads};
  auto views = inputs;
  views.q = packed.q();
  views.k = packed.k();
  views.v = packed.v();
  views.query_heads = 0;
  return views;
}

kernels::AttentionTensors described(const AttentionInputs& in) {
  const auto& [cos, sin] = in.rotary;
  return {.q = description(in.q),
          .k = description(in.k),
          .v = description(in.v),
          .cos = optional_description(cos),
          .sin = optional_description(sin),
          .first_token = optional_description(in.first_token),
          .window = in.window,
          .allows_late_queries = true};
}

void check(const AttentionInputs& in) {
  as_torch_error([&] { kernels::check(described(in)); });
  TORCH_CHECK(has_local_attention_kernel(in.q), "local attention: no kernel for heads of size ",
              in.q.size(3), " on ", in.q.device());
}

bool has_local_attention_kernel(const Tensor& q) {
  if (!has_fused_type(q)) return false;
  if (q.is_cpu()) return cpu::has_local_attention(q.size(3));
#ifdef ZEBRA_WITH_CUDA
  if (q.is_cuda()) return cuda::has_local_attention(q.size(3));
#endif
  return false;
}

Tensor fused_attention(const AttentionInputs& inputs, AttentionResult* saved, const Tensor& sink) {
  if (saved == nullptr && !sink.defined()) return call_operator(inputs);
  AttentionResult computed;
  AttentionResult& result = saved != nullptr ? *saved : computed;
  if (!result.is_filled()) {
    result = compute(inputs);
    if (sink.defined()) result = with_sink(result, sink);
  }
  const auto heads = inputs.is_packed() ? inputs.q.narrow(2, 0, inputs.query_heads) : inputs.q;
  TORCH_CHECK(result.out.sizes() == heads.sizes(), "a saved result of ", result.out.sizes(),
              " cannot be that of queries ", heads.sizes());
  return with_gradient(inputs, result, sink);
}

AttentionResult compute_attention(const AttentionInputs& inputs) { return compute(inputs); }

HeadGradients differentiate_attention(const Tensor& d_out, const AttentionInputs& in,
                                      const AttentionResult& result, bool has_sink) {
  static const auto separate =
      find_operator<decltype(MetaOperators::backward)>("zebra::local_attention_backward");
  const at::AutoDispatchBelowADInplaceOrView guard;
  return separate.call(d_out, in.q, in.k, in.v, in.window, optional(in.rotary.cos),
                       optional(in.rotary.sin), optional(in.first_token), result.out,
                       result.log_sum_exp, result.saved, has_sink);
}

AttentionResult with_sink(const AttentionResult& result, const torch::Tensor& sink) {
  const torch::NoGradGuard no_grad;
  const auto s = beside_log_sum_exp(sink);
  const auto share = torch::sigmoid(result.log_sum_exp - s).transpose(1, 2).unsqueeze(-1);
  auto with = result;
  with.out = (result.out * share).to(result.out.scalar_type());
  with.log_sum_exp = torch::logaddexp(result.log_sum_exp, s);
  return with;
}

torch::Tensor sink_gradient(const torch::Tensor& d_out, const AttentionResult& result,
                            const torch::Tensor& sink) {
  const auto weight = torch::exp(beside_log_sum_exp(sink) - result.log_sum_exp);
  const auto dot = (d_out.to(torch::kFloat32) * result.out.to(torch::kFloat32)).sum(-1);
  return -(weight * dot.transpose(1, 2)).sum(at::IntArrayRef{0, 2}).to(sink.scalar_type());
}

torch::Tensor softmax_with_sink(const torch::Tensor& scores, const torch::Tensor& sink) {
  auto shape = scores.sizes().vec();
  shape.back() = 1;
  const auto column = sink.to(scores.scalar_type()).unsqueeze(-1).expand(shape);
  return torch::softmax(torch::cat({scores, column}, -1), -1).narrow(-1, 0, scores.size(-1));
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
      "Tensor saved, bool has_sink=False) -> (Tensor dq, Tensor dk, Tensor dv)");
  m.def(
      "packed_local_attention_forward(Tensor qkv, int query_heads, int window, Tensor? cos, "
      "Tensor? sin, Tensor? first_token) -> (Tensor out, Tensor log_sum_exp, Tensor saved)");
  m.def(
      "packed_local_attention_backward(Tensor d_out, Tensor qkv, int query_heads, int window, "
      "Tensor? cos, Tensor? sin, Tensor? first_token, Tensor out, Tensor log_sum_exp, "
      "Tensor saved, bool has_sink=False) -> Tensor");
}

TORCH_LIBRARY_IMPL(zebra, Meta, m) { MetaOperators::register_in(m); }

TORCH_LIBRARY_IMPL(zebra, CompositeExplicitAutograd, m) {
  m.impl("local_attention", separate_attention<false>);
  m.impl("packed_local_attention", packed_attention<false>);
}

TORCH_LIBRARY_IMPL(zebra, Autograd, m) {
  m.impl("local_attention", separate_attention<true>);
  m.impl("packed_local_attention", packed_attention<true>);
}

}  // namespace zebra
