#include "ops/embedding.h"

namespace zebra {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class EmbeddingFunction : public torch::autograd::Function<EmbeddingFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& tokens,
                               const torch::Tensor& weight) {
    context->save_for_backward({tokens});
    context->saved_data["rows"] = weight.size(0);
    return at::embedding(weight, tokens);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto tokens = context->get_saved_variables()[0];
    const auto rows = context->saved_data["rows"].toInt();
    const auto gradient = gradients[0].to(torch::kFloat32);
    return {torch::Tensor(),
            at::embedding_dense_backward(gradient, tokens, rows, /*padding_idx=*/-1,
                                         /*scale_grad_by_freq=*/false)};
  }
};

}  // namespace

torch::Tensor token_embedding(const torch::Tensor& tokens, const torch::Tensor& weight) {
  return EmbeddingFunction::apply(tokens, weight);
}

}  // namespace zebra
