#include "ops/local_attention_kernel.h"
#include "ops/parallel_tasks.h"

namespace zebra {
kernels::HeadArray kernel_input(const torch::Tensor& x) {
  return {x.const_data_ptr(), x.stride(0), x.stride(1), x.stride(2)};
}

kernels::MutableHeadArray kernel_output(const torch::Tensor& x) {
  return {x.mutable_data_ptr(), x.stride(0), x.stride(1), x.stride(2)};
}

kernels::LocalAttentionInputs kernel_inputs(const LocalAttentionArguments& a) {
  kernels::LocalAttentionInputs inputs;
  inputs.shape = {.batch = a.q.size(0),
                  .length = a.q.size(1),
                  .query_heads = a.q.size(2),
                  .key_heads = a.k.size(2),
                  .head_size = a.q.size(3),
                  .window = a.window,
                  .type = a.q.scalar_type() == torch::kFloat32 ? kernels::ElementType::kFloat32
                                                               : kernels::ElementType::kBfloat16};
  inputs.q = kernel_input(a.q);
  inputs.k = kernel_input(a.k);
  inputs.v = kernel_input(a.v);
  if (a.cos.defined()) {
    inputs.rotary = {a.cos.const_data_ptr<float>(), a.sin.const_data_ptr<float>(),
                     a.cos.dim() == 3 ? a.cos.stride(0) : 0, a.cos.stride(-2)};
  }
  if (a.first_token.defined()) inputs.first_token = a.first_token.const_data_ptr<std::int64_t>();
  return inputs;
}

namespace cpu {

bool has_local_attention(std::int64_t head_size) { return head_size % 2 == 0 && head_size <= 256; }

// Any strides, as long as the elements of one head are contiguous.
torch::Tensor readable(const torch::Tensor& x) { return x.stride(-1) == 1 ? x : x.contiguous(); }

std::int64_t saved_bytes(const kernels::LocalAttentionShape&) { return 0; }

void forward(const LocalAttentionArguments& arguments, const LocalAttentionOutputs& outputs) {
  kernels::local_attention_forward({kernel_inputs(arguments), kernel_output(outputs.out),
                                    outputs.log_sum_exp.mutable_data_ptr<float>()},
                                   parallel_tasks);
}

void backward(const LocalAttentionArguments& arguments, const LocalAttentionOutputs& outputs,
              const torch::Tensor& d_out, const LocalAttentionGradients& gradients) {
  kernels::LocalAttentionBackward a;
  a.inputs = kernel_inputs(arguments);
  a.out = kernel_input(outputs.out);
  a.log_sum_exp = outputs.log_sum_exp.const_data_ptr<float>();
  a.has_sink = outputs.has_sink;
  a.d_out = kernel_input(d_out);
  a.dq = kernel_output(gradients.dq);
  a.dk = kernel_output(gradients.dk);
  a.dv = kernel_output(gradients.dv);
  const auto bytes = kernels::local_attention_backward_workspace_bytes(a.inputs.shape);
  const auto workspace =
      torch::empty({static_cast<std::int64_t>(bytes)}, arguments.q.options().dtype(torch::kUInt8));
  a.workspace = bytes > 0 ? workspace.mutable_data_ptr() : nullptr;
  kernels::local_attention_backward(a, parallel_tasks);
}

}  // namespace cpu
}  // namespace zebra
