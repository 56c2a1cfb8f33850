#include "ops/packed_rotary.h"

#include <torch/csrc/autograd/custom_function.h>

#include "ops/kernel_choice.h"
#include "ops/row_kernels.h"

namespace zebra {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// x and out are [B, T, H, D] with contiguous heads.
void rotate(const torch::Tensor& x, const torch::Tensor& out, const torch::Tensor& cos,
            const torch::Tensor& sin, bool inverse) {
  launch(
      kernels::Rotary{.batch = x.size(0),
                      .length = x.size(1),
                      .heads = x.size(2),
                      .head_size = x.size(3),
                      .type = element_type(x),
                      .x = {x.const_data_ptr(), x.stride(0), x.stride(1), x.stride(2)},
                      .out = {out.mutable_data_ptr(), out.stride(0), out.stride(1), out.stride(2)},
                      .table = {cos.const_data_ptr<float>(), sin.const_data_ptr<float>(),
                                cos.dim() == 3 ? cos.stride(0) : 0, cos.stride(-2)},
                      .inverse = inverse},
      x.device());
}

class PackedRotaryFunction : public torch::autograd::Function<PackedRotaryFunction> {
 public:
  static variable_list forward(AutogradContext* context, const torch::Tensor& heads,
                               std::int64_t query_heads, const torch::Tensor& cos,
                               const torch::Tensor& sin) {
    const PackedHeads packed = {heads, query_heads};
    const auto rotated_heads = query_heads + packed.key_heads();
    const auto rotated =
        torch::empty({heads.size(0), heads.size(1), rotated_heads, heads.size(3)}, heads.options());
    rotate(heads.narrow(2, 0, rotated_heads), rotated, cos, sin, /*inverse=*/false);
    context->save_for_backward({cos, sin});
    context->saved_data["query_heads"] = query_heads;
    context->saved_data["sizes"] = heads.sizes().vec();
    return {rotated.narrow(2, 0, query_heads), rotated.narrow(2, query_heads, packed.key_heads()),
            packed.v().detach()};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto sizes = context->saved_data["sizes"].toIntVector();
    const PackedHeads gradient = {torch::empty(sizes, gradients[0].options()),
                                  context->saved_data["query_heads"].toInt()};
    const auto readable = [](const torch::Tensor& x) {
      return x.stride(-1) == 1 ? x : x.contiguous();
    };
    rotate(readable(gradients[0]), gradient.q(), saved[0], saved[1], /*inverse=*/true);
    rotate(readable(gradients[1]), gradient.k(), saved[0], saved[1], /*inverse=*/true);
    gradient.v().copy_(gradients[2]);
    return {gradient.heads, {}, {}, {}};
  }
};

}  // namespace

RotatedHeads packed_rotary(const PackedHeads& packed, const RotaryFactors& factors) {
  if (!factors.defined()) return {packed.q(), packed.k(), packed.v()};
  const auto& heads = packed.heads;
  if (!uses_row_kernels(heads) || heads.stride(-1) != 1) {
    return {apply_rotary(packed.q(), factors), apply_rotary(packed.k(), factors), packed.v()};
  }
  const auto rotated =
      PackedRotaryFunction::apply(heads, packed.query_heads, factors.cos, factors.sin);
  return {rotated[0], rotated[1], rotated[2]};
}

}  // namespace zebra
