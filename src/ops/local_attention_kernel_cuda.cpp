#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "ops/local_attention_kernel.h"
#include "zebra_kernels/local_attention_cuda.h"

namespace zebra::cuda {
namespace {

torch::Tensor bytes_like(const torch::Tensor& x, std::size_t bytes) {
  return torch::empty({static_cast<std::int64_t>(bytes)}, x.options().dtype(torch::kUInt8));
}

}  // namespace

bool has_local_attention(std::int64_t head_size) {
  return kernels::cuda::has_local_attention(head_size);
}

// Rows of bfloat16 move in pieces of 16 bytes.
torch::Tensor readable(const torch::Tensor& x) {
  bool in_place = x.stride(-1) == 1;
  if (x.scalar_type() == torch::kBFloat16) {
    in_place = in_place && reinterpret_cast<std::uintptr_t>(x.const_data_ptr()) % 16 == 0;
    for (std::int64_t i = 0; i < 3; ++i) in_place = in_place && x.stride(i) % 8 == 0;
  }
  return in_place ? x : x.clone(at::MemoryFormat::Contiguous);
}

std::int64_t saved_bytes(const kernels::LocalAttentionShape& shape) {
  return static_cast<std::int64_t>(kernels::cuda::local_attention_saved_bytes(shape));
}

void forward(const LocalAttentionArguments& arguments, const LocalAttentionOutputs& outputs) {
  const c10::cuda::CUDAGuard guard(arguments.q.device());
  kernels::cuda::local_attention_forward({kernel_inputs(arguments), kernel_output(outputs.out),
                                          outputs.log_sum_exp.mutable_data_ptr<float>()},
                                         outputs.saved.mutable_data_ptr(),
                                         c10::cuda::getCurrentCUDAStream());
}

void backward(const LocalAttentionArguments& arguments, const LocalAttentionOutputs& outputs,
              const torch::Tensor& d_out, const LocalAttentionGradients& gradients) {
  const c10::cuda::CUDAGuard guard(arguments.q.device());
  kernels::LocalAttentionBackward a;
  a.inputs = kernel_inputs(arguments);
  a.out = kernel_input(outputs.out);
  a.log_sum_exp = outputs.log_sum_exp.const_data_ptr<float>();
  a.has_sink = outputs.has_sink;
  a.d_out = kernel_input(d_out);
  a.dq = kernel_output(gradients.dq);
  a.dk = kernel_output(gradients.dk);
  a.dv = kernel_output(gradients.dv);
  const auto workspace = bytes_like(
      arguments.q, kernels::cuda::local_attention_backward_workspace_bytes(a.inputs.shape));
  a.workspace = workspace.mutable_data_ptr();
  kernels::cuda::local_attention_backward(a, outputs.saved.const_data_ptr(),
                                          c10::cuda::getCurrentCUDAStream());
}

}  // namespace zebra::cuda
