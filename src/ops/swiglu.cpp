#include "ops/swiglu.h"

#include <torch/csrc/autograd/custom_function.h>

#include "ops/kernel_choice.h"
#include "ops/linear.h"
#include "ops/matrix_product.h"
#include "ops/row_kernels.h"

namespace zebra {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

kernels::SwigluShape shape_of(const torch::Tensor& gate_up) {
  const auto width = gate_up.size(-1) / 2;
  return {gate_up.numel() / (2 * width), width, element_type(gate_up)};
}

class SwigluLinearFunction : public torch::autograd::Function<SwigluLinearFunction> {
 public:
  // gate_up [N, 2 f]
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& gate_up,
                               const torch::Tensor& down_weight) {
    const auto shape = shape_of(gate_up);
    const auto product = torch::empty({shape.rows, shape.width}, gate_up.options());
    launch(
        kernels::SwigluForward{
            .shape = shape, .gate_up = gate_up.const_data_ptr(), .out = product.mutable_data_ptr()},
        gate_up.device());
    context->save_for_backward({gate_up, down_weight});
    return matrix_product(product, down_weight.t());
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &gate_up = saved[0], &down_weight = saved[1];
    const auto d_out = gradients[0].contiguous();
    // The gradient of the product gives way to the product itself.
    const auto product = matrix_product(d_out, down_weight);
    const auto d_gate_up = torch::empty_like(gate_up);
    launch(kernels::SwigluBackward{.shape = shape_of(gate_up),
                                   .gate_up = gate_up.const_data_ptr(),
                                   .d_out = product.const_data_ptr(),
                                   .d_gate_up = d_gate_up.mutable_data_ptr(),
                                   .out = product.mutable_data_ptr()},
           gate_up.device());
    return {d_gate_up, linear_weight_gradient(down_weight, d_out, product)};
  }
};

}  // namespace

torch::Tensor plain_swiglu_linear(const torch::Tensor& gate_up, const torch::Tensor& down_weight) {
  const auto halves = gate_up.chunk(2, -1);
  return torch::linear(torch::silu(halves[0]) * halves[1], down_weight);
}

torch::Tensor swiglu_linear(const torch::Tensor& gate_up, const torch::Tensor& down_weight) {
  if (!uses_row_kernels(gate_up)) return plain_swiglu_linear(gate_up, down_weight);
  const auto rows = gate_up.contiguous().flatten(0, -2);
  auto sizes = gate_up.sizes().vec();
  sizes.back() = down_weight.size(0);
  return SwigluLinearFunction::apply(rows, down_weight).view(sizes);
}

}  // namespace zebra
