#include "ops/embedding.h"

#include <torch/csrc/autograd/custom_function.h>

#include "ops/accumulated_gradient.h"
#include "ops/kernel_choice.h"
#include "ops/row_kernels.h"

namespace zebra {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Adds to `gradient` [V, d].
void add_gradient(const torch::Tensor& tokens, const torch::Tensor& d_out,
                  const torch::Tensor& gradient) {
  const auto [sorted, order] = torch::sort(tokens.flatten(), /*stable=*/std::optional<bool>(true));
  const auto rows = d_out.contiguous();
  launch(kernels::EmbeddingBackward{.rows = sorted.numel(),
                                    .width = rows.size(-1),
                                    .vocabulary = gradient.size(0),
                                    .type = element_type(rows),
                                    .sorted_tokens = sorted.const_data_ptr<std::int64_t>(),
                                    .order = order.const_data_ptr<std::int64_t>(),
                                    .d_out = rows.const_data_ptr(),
                                    .d_weight = gradient.mutable_data_ptr<float>()},
         d_out.device());
}

torch::Tensor fused_gradient(const torch::Tensor& tokens, const torch::Tensor& d_out,
                             const torch::Tensor& weight) {
  if (const auto sum = accumulated_gradient(weight); sum.defined()) {
    add_gradient(tokens, d_out, sum);
    return {};
  }
  const auto gradient = torch::zeros(weight.sizes(), d_out.options().dtype(torch::kFloat32));
  add_gradient(tokens, d_out, gradient);
  return gradient;
}

torch::Tensor plain_gradient(const torch::Tensor& tokens, const torch::Tensor& d_out,
                             std::int64_t vocabulary) {
  return at::embedding_dense_backward(d_out.to(torch::kFloat32), tokens, vocabulary,
                                      /*padding_idx=*/-1, /*scale_grad_by_freq=*/false);
}

class EmbeddingFunction : public torch::autograd::Function<EmbeddingFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& tokens,
                               const torch::Tensor& weight) {
    context->save_for_backward({tokens, weight});
    return at::embedding(weight, tokens);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &tokens = saved[0], &weight = saved[1], &d_out = gradients[0];
    return {torch::Tensor(), uses_row_kernels(d_out)
                                 ? fused_gradient(tokens, d_out, weight)
                                 : plain_gradient(tokens, d_out, weight.size(0))};
  }
};

}  // namespace

torch::Tensor token_embedding(const torch::Tensor& tokens, const torch::Tensor& weight) {
  return EmbeddingFunction::apply(tokens, weight);
}

}  // namespace zebra
