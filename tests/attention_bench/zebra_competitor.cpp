#include <torch/csrc/autograd/autograd.h>

#include "base/error.h"
#include "competitor.h"
#include "ops/attention_kernels.h"
#include "ops/attention_operator.h"
#ifdef ZEBRA_WITH_CUDA
#include "zebra_kernels/local_attention_cuda.h"
#endif

namespace zebra::bench {
namespace {

kernels::LocalAttentionShape kernel_shape(const Case& shape) {
  return {.batch = shape.batch,
          .length = shape.length,
          .query_heads = shape.query_heads,
          .key_heads = shape.key_heads,
          .head_size = shape.head_size,
          .window = shape.window,
          .type = shape.type == torch::kFloat32 ? kernels::ElementType::kFloat32
                                                : kernels::ElementType::kBfloat16};
}

Result result_of(const torch::Tensor& out, const PackedHeads& gradient) {
  return {out.detach(), gradient.q(), gradient.k(), gradient.v()};
}

/// The CPU kernel itself, on LibTorch's threads.
class KernelCompetitor final : public Competitor {
 public:
  KernelCompetitor(const Problem& problem, const Case& task,
                   std::optional<kernels::InstructionSet> set)
      : problem_(problem),
        set_(set),
        inputs_(kernel_inputs({.q = problem.inputs.q(),
                               .k = problem.inputs.k(),
                               .v = problem.inputs.v(),
                               .window = task.window,
                               .rotary = problem.rotary,
                               .first_token = problem.documents.first_token})) {}

  void forward() override {
    const auto& shape = problem_.shape;
    out_ = torch::empty_like(problem_.d_out);
    log_sum_exp_ =
        torch::empty({shape.batch, shape.query_heads, shape.length}, torch::dtype(torch::kFloat32));
    kernels::local_attention_forward(
        {inputs_, kernel_output(out_), log_sum_exp_.mutable_data_ptr<float>()}, parallel_tasks,
        set_);
  }

  void backward() override {
    gradient_ = problem_.inputs;  // lets the last one go
    gradient_.heads = torch::empty_like(problem_.inputs.heads);
    const auto bytes = kernels::local_attention_backward_workspace_bytes(inputs_.shape);
    const auto workspace =
        torch::empty({static_cast<std::int64_t>(bytes)}, torch::dtype(torch::kUInt8));
    kernels::LocalAttentionBackward arguments;
    arguments.inputs = inputs_;
    arguments.out = kernel_input(out_);
    arguments.log_sum_exp = log_sum_exp_.const_data_ptr<float>();
    arguments.d_out = kernel_input(problem_.d_out);
    arguments.dq = kernel_output(gradient_.q());
    arguments.dk = kernel_output(gradient_.k());
    arguments.dv = kernel_output(gradient_.v());
    arguments.workspace = bytes > 0 ? workspace.mutable_data_ptr() : nullptr;
    kernels::local_attention_backward(arguments, parallel_tasks, set_);
  }

  Result result() const override { return result_of(out_, gradient_); }

 private:
  const Problem& problem_;
  std::optional<kernels::InstructionSet> set_;
  kernels::LocalAttentionInputs inputs_;
  torch::Tensor out_, log_sum_exp_;
  PackedHeads gradient_;
};

/// zebra::local_attention through autograd.
class OperatorCompetitor final : public Competitor {
 public:
  OperatorCompetitor(const Problem& problem, const Case& task)
      : problem_(problem), window_(task.window), leaf_(problem.inputs), gradient_(problem.inputs) {
    leaf_.heads = problem.inputs.heads.detach().requires_grad_();
  }

  void forward() override {
    out_ = local_attention(leaf_, window_, problem_.rotary, problem_.documents);
  }

  void backward() override {
    gradient_.heads = torch::autograd::grad({out_}, {leaf_.heads}, {problem_.d_out},
                                            /*retain_graph=*/true)[0];
  }

  Result result() const override { return result_of(out_, gradient_); }

 private:
  const Problem& problem_;
  std::int64_t window_;
  PackedHeads leaf_, gradient_;
  torch::Tensor out_;
};

}  // namespace

std::unique_ptr<Competitor> zebra_competitor(const Problem& problem, const Case& task,
                                             std::optional<kernels::InstructionSet> set) {
  if (problem.shape.device == torch::kCPU) {
    return std::make_unique<KernelCompetitor>(problem, task, set);
  }
  if (!has_local_attention_kernel(problem.inputs.heads)) {
    throw InputError("zebra has no kernel for this case: " + to_string(task));
  }
  return std::make_unique<OperatorCompetitor>(problem, task);
}

std::int64_t workspace_bytes(const Case& shape) {
  const auto description = kernel_shape(shape);
#ifdef ZEBRA_WITH_CUDA
  if (shape.device == torch::kCUDA) {
    return static_cast<std::int64_t>(
        kernels::cuda::local_attention_saved_bytes(description) +
        kernels::cuda::local_attention_backward_workspace_bytes(description));
  }
#endif
  return static_cast<std::int64_t>(kernels::local_attention_backward_workspace_bytes(description));
}

}  // namespace zebra::bench
