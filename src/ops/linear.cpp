#include "ops/linear.h"

#include <torch/csrc/autograd/custom_function.h>

#include "ops/accumulated_gradient.h"
#include "ops/kernel_choice.h"
#include "ops/matrix_product.h"

namespace zebra {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class LinearFunction : public torch::autograd::Function<LinearFunction> {
 public:
  // x [N, k]
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& weight) {
    context->save_for_backward({x, weight});
    return matrix_product(x, weight.t());
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1];
    const auto d_out = gradients[0].contiguous();
    const auto d_x = context->needs_input_grad(0) ? matrix_product(d_out, weight) : torch::Tensor();
    return {d_x, linear_weight_gradient(weight, d_out, x)};
  }
};

}  // namespace

torch::Tensor linear_weight_gradient(const torch::Tensor& weight, const torch::Tensor& d_out,
                                     const torch::Tensor& x) {
  if (auto sum = accumulated_gradient(weight); sum.defined()) {
    add_matrix_product(sum, d_out.t(), x);
    return {};
  }
  return matrix_product(d_out.t(), x);
}

torch::Tensor linear_projection(const torch::Tensor& x, const torch::Tensor& weight) {
  if (!uses_row_kernels(x)) return torch::linear(x, weight);
  auto sizes = x.sizes().vec();
  sizes.back() = weight.size(0);
  return LinearFunction::apply(x.reshape({-1, x.size(-1)}), weight).view(sizes);
}

}  // namespace zebra
