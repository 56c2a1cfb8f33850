#include "ops/rotary.h"

#include <torch/csrc/autograd/custom_function.h>

namespace zebra {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// x [B, T, H, D]; cos and sin [.., T, 1, D / 2].
torch::Tensor rotate(const torch::Tensor& x, const torch::Tensor& cos, const torch::Tensor& sin) {
  const auto half = x.size(-1) / 2;
  const auto first = x.narrow(-1, 0, half).to(torch::kFloat32);
  const auto second = x.narrow(-1, half, half).to(torch::kFloat32);
  auto out = torch::empty(x.sizes(), x.options());
  out.narrow(-1, 0, half).copy_((first * cos).addcmul_(second, sin, -1));
  out.narrow(-1, half, half).copy_((second * cos).addcmul_(first, sin));
  return out;
}

// The transpose of a rotation is the rotation by the opposite angle.
class RotaryFunction : public torch::autograd::Function<RotaryFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& cos, const torch::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return rotate(x, cos, sin);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    return {rotate(gradients[0], saved[0], saved[1].neg()), torch::Tensor(), torch::Tensor()};
  }
};

}  // namespace

torch::Tensor apply_rotary(const torch::Tensor& x, const RotaryFactors& factors) {
  if (!factors.defined()) return x;
  TORCH_CHECK(x.dim() == 4 && x.size(-1) % 2 == 0,
              "apply_rotary wants [B, T, H, D] with an even D, got ", x.sizes());
  TORCH_CHECK(factors.cos.size(-2) == x.size(1) && factors.cos.size(-1) * 2 == x.size(-1),
              "rotary factors ", factors.cos.sizes(), " do not fit x ", x.sizes());
  return RotaryFunction::apply(x, factors.cos.unsqueeze(-2), factors.sin.unsqueeze(-2));
}

}  // namespace zebra
