#include <functional>

#include "operators.h"

// The operators' schemas, and their kernels on the CPU.

namespace zebra::stable {
namespace {

/// The ParallelFor of the kernels on LibTorch's threads.
void parallel_tasks(std::int64_t tasks, const std::function<void(std::int64_t)>& body) {
  torch::stable::parallel_for(0, tasks, /*grain_size=*/1,
                              [&](std::int64_t begin, std::int64_t end) {
                                for (std::int64_t task = begin; task < end; ++task) body(task);
                              });
}

struct Cpu {
  // Any strides, as long as the elements of one head are contiguous.
  static Tensor readable(const Tensor& x) {
    return x.stride(x.dim() - 1) == 1 ? x : torch::stable::contiguous(x);
  }

  static std::size_t saved_bytes(const kernels::LocalAttentionShape&) { return 0; }
  static std::size_t workspace_bytes(const kernels::LocalAttentionShape& shape) {
    return kernels::local_attention_backward_workspace_bytes(shape);
  }

  static void launch(const kernels::LocalAttentionForward& arguments, const Tensor&, std::int32_t) {
    kernels::local_attention_forward(arguments, parallel_tasks);
  }
  static void launch(const kernels::LocalAttentionBackward& arguments, const Tensor&,
                     std::int32_t) {
    kernels::local_attention_backward(arguments, parallel_tasks);
  }
};

STABLE_TORCH_LIBRARY(zebra_attention, m) {
  m.def(
      "forward(Tensor q, Tensor? k, Tensor? v, int query_heads, int window, Tensor? cos, "
      "Tensor? sin, Tensor? first_token) -> (Tensor out, Tensor log_sum_exp, Tensor saved)");
  m.def(
      "backward(Tensor d_out, Tensor q, Tensor? k, Tensor? v, int query_heads, int window, "
      "Tensor? cos, Tensor? sin, Tensor? first_token, Tensor out, Tensor log_sum_exp, "
      "Tensor saved, bool has_sink) -> (Tensor dq, Tensor dk, Tensor dv)");
}

STABLE_TORCH_LIBRARY_IMPL(zebra_attention, CPU, m) {
  m.impl("forward", TORCH_BOX(&Operators<Cpu>::forward));
  m.impl("backward", TORCH_BOX(&Operators<Cpu>::backward));
}

}  // namespace
}  // namespace zebra::stable
