#include "ops/attention_kernels.h"

namespace zebra {
namespace {

struct CpuKernels {
  static constexpr bool kHasData = true, kTakesLateQueries = true;

  // Any strides, as long as the elements of one head are contiguous.
  static torch::Tensor readable(const torch::Tensor& x) {
    return x.stride(-1) == 1 ? x : x.contiguous();
  }

  static std::size_t saved_bytes(const kernels::LocalAttentionShape&) { return 0; }
  static std::size_t workspace_bytes(const kernels::LocalAttentionShape& shape) {
    return kernels::local_attention_backward_workspace_bytes(shape);
  }

  static void launch(const kernels::LocalAttentionForward& arguments, const torch::Tensor&,
                     torch::Device) {
    kernels::local_attention_forward(arguments, parallel_tasks);
  }
  static void launch(const kernels::LocalAttentionBackward& arguments, const torch::Tensor&,
                     torch::Device) {
    kernels::local_attention_backward(arguments, parallel_tasks);
  }
};

}  // namespace

bool cpu::has_local_attention(std::int64_t head_size) {
  return head_size % 2 == 0 && head_size <= 256;
}

TORCH_LIBRARY_IMPL(zebra, CPU, m) { AttentionOperators<CpuKernels>::register_in(m); }

}  // namespace zebra
