#include "ops/rms_norm.h"

#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "ops/accumulated_gradient.h"
#include "ops/fused_kernels.h"

namespace zebra {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

kernels::RmsNormShape norm_shape(const torch::Tensor& x) {
  return {x.numel() / x.size(-1), x.size(-1), element_type(x)};
}

class ResidualRmsNormFunction : public torch::autograd::Function<ResidualRmsNormFunction> {
 public:
  static variable_list forward(AutogradContext* context, const torch::Tensor& x_of_any_strides,
                               const std::optional<torch::Tensor>& added_of_any_strides,
                               const torch::Tensor& weight, double eps) {
    const auto x = x_of_any_strides.contiguous();
    const bool adds = added_of_any_strides.has_value();
    const auto added = adds ? added_of_any_strides->contiguous() : torch::Tensor();
    const auto sum = adds ? torch::empty_like(x) : x;
    const auto normed = torch::empty_like(x);
    const auto shape = norm_shape(x);
    const auto inverse_rms = torch::empty({shape.rows}, x.options().dtype(torch::kFloat32));
    launch(kernels::RmsNormForward{.shape = shape,
                                   .x = x.const_data_ptr(),
                                   .added = adds ? added.const_data_ptr() : nullptr,
                                   .weight = weight.const_data_ptr(),
                                   .eps = static_cast<float>(eps),
                                   .sum = adds ? sum.mutable_data_ptr() : nullptr,
                                   .out = normed.mutable_data_ptr(),
                                   .inverse_rms = inverse_rms.mutable_data_ptr<float>()},
           x.device());
    context->save_for_backward({sum, weight, inverse_rms});
    context->saved_data["adds"] = adds;
    context->set_materialize_grads(false);
    return {sum, normed};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const bool adds = context->saved_data["adds"].toBool();
    const auto& d_sum = gradients[0];
    if (!gradients[1].defined()) return {d_sum, adds ? d_sum : torch::Tensor(), {}, {}};
    const auto d_out = gradients[1].contiguous();
    const auto from_elsewhere = d_sum.defined() ? d_sum.contiguous() : torch::Tensor();
    const auto d_x = torch::empty_like(saved[0]);
    const auto d_weight = torch::empty(saved[1].sizes(), saved[2].options());
    launch(kernels::RmsNormBackward{.shape = norm_shape(saved[0]),
                                    .sum = saved[0].const_data_ptr(),
                                    .weight = saved[1].const_data_ptr(),
                                    .inverse_rms = saved[2].const_data_ptr<float>(),
                                    .d_out = d_out.const_data_ptr(),
                                    .d_sum =
                                        d_sum.defined() ? from_elsewhere.const_data_ptr() : nullptr,
                                    .d_x = d_x.mutable_data_ptr(),
                                    .d_weight = d_weight.mutable_data_ptr<float>()},
           d_x.device());
    auto sum = accumulated_gradient(saved[1]);
    if (sum.defined()) sum.add_(d_weight);
    return {d_x, adds ? d_x : torch::Tensor(), sum.defined() ? torch::Tensor() : d_weight, {}};
  }
};

}  // namespace

NormedResidual plain_residual_rms_norm(const torch::Tensor& x, const torch::Tensor& added,
                                       const torch::Tensor& weight, double eps) {
  const auto sum = added.defined() ? x + added : x;
  return {sum, at::rms_norm(sum, weight.sizes(), weight, eps)};
}

NormedResidual residual_rms_norm(const torch::Tensor& x, const torch::Tensor& added,
                                 const torch::Tensor& weight, double eps) {
  if (!uses_fused_kernels(x)) return plain_residual_rms_norm(x, added, weight, eps);
  const auto optional = added.defined() ? std::optional(added) : std::nullopt;
  const auto both = ResidualRmsNormFunction::apply(x, optional, weight, eps);
  return {both[0], both[1]};
}

torch::Tensor rms_norm(const torch::Tensor& x, const torch::Tensor& weight, double eps) {
  return residual_rms_norm(x, {}, weight, eps).normed;
}

}  // namespace zebra
