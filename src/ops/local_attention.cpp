#include <ATen/Parallel.h>

#include <cstdlib>
#include <string>

#include "ops/attention.h"
#include "zebra_kernels/local_attention.h"

namespace zebra {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::int64_t kLargestHead = 256;

void parallel_tasks(std::int64_t tasks, const std::function<void(std::int64_t)>& body) {
  at::parallel_for(0, tasks, /*grain_size=*/1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task) body(task);
  });
}

// The kernel reads any strides as long as the elements of one head are contiguous.
torch::Tensor readable(const torch::Tensor& x) { return x.stride(-1) == 1 ? x : x.contiguous(); }

kernels::HeadArray input(const torch::Tensor& x) {
  return {x.const_data_ptr(), x.stride(0), x.stride(1), x.stride(2)};
}

kernels::MutableHeadArray output(const torch::Tensor& x) {
  return {x.mutable_data_ptr(), x.stride(0), x.stride(1), x.stride(2)};
}

// Describes the tensors to the kernel; they must outlive the call.
kernels::LocalAttentionInputs describe(const torch::Tensor& q, const torch::Tensor& k,
                                       const torch::Tensor& v, std::int64_t window,
                                       const RotaryFactors& rotary,
                                       const torch::Tensor& first_token) {
  kernels::LocalAttentionInputs inputs;
  inputs.shape = {.batch = q.size(0),
                  .length = q.size(1),
                  .query_heads = q.size(2),
                  .key_heads = k.size(2),
                  .head_size = q.size(3),
                  .window = window,
                  .type = q.scalar_type() == torch::kFloat32 ? kernels::ElementType::kFloat32
                                                             : kernels::ElementType::kBfloat16};
  inputs.q = input(q);
  inputs.k = input(k);
  inputs.v = input(v);
  if (rotary.defined()) {
    const bool per_sequence = rotary.cos.dim() == 3;
    inputs.rotary = {rotary.cos.const_data_ptr<float>(), rotary.sin.const_data_ptr<float>(),
                     per_sequence ? rotary.cos.stride(0) : 0, rotary.cos.stride(-2)};
  }
  if (first_token.defined()) inputs.first_token = first_token.const_data_ptr<std::int64_t>();
  return inputs;
}

class LocalAttentionFunction : public torch::autograd::Function<LocalAttentionFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& any_q,
                               const torch::Tensor& any_k, const torch::Tensor& any_v,
                               std::int64_t window, const RotaryFactors& rotary,
                               const PackedDocuments& documents) {
    const auto q = readable(any_q), k = readable(any_k), v = readable(any_v);
    const auto out = torch::empty(q.sizes(), q.options());
    const auto log_sum_exp =
        torch::empty({q.size(0), q.size(2), q.size(1)}, q.options().dtype(torch::kFloat32));
    kernels::LocalAttentionForward arguments;
    arguments.inputs = describe(q, k, v, window, rotary, documents.first_token);
    arguments.out = output(out);
    arguments.log_sum_exp = log_sum_exp.mutable_data_ptr<float>();
    kernels::local_attention_forward(arguments, parallel_tasks);
    context->save_for_backward(
        {q, k, v, out, log_sum_exp, rotary.cos, rotary.sin, documents.first_token});
    context->saved_data["window"] = window;
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &q = saved[0], &k = saved[1], &v = saved[2];
    const auto window = context->saved_data["window"].toInt();
    const auto d_out = readable(gradients[0]);
    const auto dq = torch::empty(q.sizes(), q.options()), dk = torch::empty(k.sizes(), k.options()),
               dv = torch::empty(v.sizes(), v.options());
    kernels::LocalAttentionBackward arguments;
    arguments.inputs = describe(q, k, v, window, {saved[5], saved[6]}, saved[7]);
    arguments.out = input(saved[3]);
    arguments.log_sum_exp = saved[4].const_data_ptr<float>();
    arguments.d_out = input(d_out);
    arguments.dq = output(dq);
    arguments.dk = output(dk);
    arguments.dv = output(dv);
    const auto bytes = kernels::local_attention_backward_workspace_bytes(arguments.inputs.shape);
    const auto workspace =
        torch::empty({static_cast<std::int64_t>(bytes)}, q.options().dtype(torch::kUInt8));
    arguments.workspace = bytes > 0 ? workspace.mutable_data_ptr() : nullptr;
    kernels::local_attention_backward(arguments, parallel_tasks);
    return {dq, dk, dv, torch::Tensor(), torch::Tensor(), torch::Tensor()};
  }
};

bool wants_reference() {
  const char* value = std::getenv("ZEBRA_KERNEL");
  return value != nullptr && std::string(value) == "reference";
}

bool has_kernel(const torch::Tensor& q) {
  const bool type = q.scalar_type() == torch::kFloat32 || q.scalar_type() == torch::kBFloat16;
  return q.device().is_cpu() && type && q.size(3) % 2 == 0 && q.size(3) <= kLargestHead;
}

}  // namespace

torch::Tensor local_attention(const torch::Tensor& q, const torch::Tensor& k,
                              const torch::Tensor& v, std::int64_t window,
                              const RotaryFactors& rotary, const PackedDocuments& documents) {
  static const bool reference = wants_reference();
  if (reference || !has_kernel(q)) {
    return plain_local_attention(q, k, v, window, rotary, documents);
  }
  return LocalAttentionFunction::apply(q, k, v, window, rotary, documents);
}

}  // namespace zebra
