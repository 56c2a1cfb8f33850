#include "ops/linear.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "ops/accumulated_gradient.h"
#include "ops/fused_kernels.h"

namespace zebra {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Floats of the widened copies of one block: they should stay in the caches.
constexpr std::int64_t kBlockFloats = std::int64_t{1} << 19;
constexpr std::int64_t kFewestRows = 64;

bool widens(const torch::Tensor& a) {
#if defined(__x86_64__)
  static const bool has_instructions = kernels::is_supported(kernels::InstructionSet::kAvx512Bf16);
  return !has_instructions && a.is_cpu() && a.scalar_type() == torch::kBFloat16 &&
         !wants_reference_kernels();
#else
  return false;
#endif
}

// Calls body(begin, count) for blocks of `rows` whose copies take `floats` each.
template <class Body>
void for_blocks(std::int64_t rows, std::int64_t floats, const Body& body) {
  const auto block = std::max(kFewestRows, kBlockFloats / floats);
  for (std::int64_t begin = 0; begin < rows; begin += block) {
    body(begin, std::min(block, rows - begin));
  }
}

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

kernels::SwigluShape swiglu_shape(const torch::Tensor& gate_up) {
  const auto width = gate_up.size(-1) / 2;
  return {gate_up.numel() / (2 * width), width, element_type(gate_up)};
}

class SwigluLinearFunction : public torch::autograd::Function<SwigluLinearFunction> {
 public:
  // gate_up [N, 2 f]
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& gate_up,
                               const torch::Tensor& down_weight) {
    const auto shape = swiglu_shape(gate_up);
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
    launch(kernels::SwigluBackward{.shape = swiglu_shape(gate_up),
                                   .gate_up = gate_up.const_data_ptr(),
                                   .d_out = product.const_data_ptr(),
                                   .d_gate_up = d_gate_up.mutable_data_ptr(),
                                   .out = product.mutable_data_ptr()},
           gate_up.device());
    return {d_gate_up, linear_weight_gradient(down_weight, d_out, product)};
  }
};

}  // namespace

torch::ScalarType product_type(const torch::Tensor& a) {
  return widens(a) ? torch::kFloat32 : a.scalar_type();
}

void matrix_product_out(torch::Tensor& out, const torch::Tensor& a, const torch::Tensor& b) {
  if (!widens(a)) {
    torch::mm_out(out, a, b);
    return;
  }
  const auto wide_b = b.to(torch::kFloat32);
  for_blocks(a.size(0), a.size(1) + b.size(1), [&](std::int64_t begin, std::int64_t count) {
    const auto wide_a = a.narrow(0, begin, count).to(torch::kFloat32);
    out.narrow(0, begin, count).copy_(torch::mm(wide_a, wide_b));
  });
}

torch::Tensor matrix_product(const torch::Tensor& a, const torch::Tensor& b) {
  if (!widens(a)) return torch::mm(a, b);
  auto out = torch::empty({a.size(0), b.size(1)}, a.options());
  matrix_product_out(out, a, b);
  return out;
}

void add_matrix_product(torch::Tensor& sum, const torch::Tensor& a, const torch::Tensor& b) {
  if (a.scalar_type() == torch::kFloat32) {
    sum.addmm_(a, b);
  } else if (!a.is_cpu() && a.scalar_type() == torch::kBFloat16) {
    at::addmm_out(sum, sum, a, b, torch::kFloat32);
  } else if (!widens(a)) {
    sum.add_(torch::mm(a, b));
  } else {
    for_blocks(a.size(1), a.size(0) + b.size(1), [&](std::int64_t begin, std::int64_t count) {
      sum.addmm_(a.narrow(1, begin, count).to(torch::kFloat32),
                 b.narrow(0, begin, count).to(torch::kFloat32));
    });
  }
}

torch::Tensor linear_weight_gradient(const torch::Tensor& weight, const torch::Tensor& d_out,
                                     const torch::Tensor& x) {
  if (auto sum = accumulated_gradient(weight); sum.defined()) {
    add_matrix_product(sum, d_out.t(), x);
    return {};
  }
  return matrix_product(d_out.t(), x);
}

torch::Tensor linear_projection(const torch::Tensor& x, const torch::Tensor& weight) {
  if (!uses_fused_kernels(x)) return torch::linear(x, weight);
  auto sizes = x.sizes().vec();
  sizes.back() = weight.size(0);
  return LinearFunction::apply(x.reshape({-1, x.size(-1)}), weight).view(sizes);
}

torch::Tensor plain_swiglu_linear(const torch::Tensor& gate_up, const torch::Tensor& down_weight) {
  const auto halves = gate_up.chunk(2, -1);
  return torch::linear(torch::silu(halves[0]) * halves[1], down_weight);
}

torch::Tensor swiglu_linear(const torch::Tensor& gate_up, const torch::Tensor& down_weight) {
  if (!uses_fused_kernels(gate_up)) return plain_swiglu_linear(gate_up, down_weight);
  const auto rows = gate_up.contiguous().flatten(0, -2);
  auto sizes = gate_up.sizes().vec();
  sizes.back() = down_weight.size(0);
  return SwigluLinearFunction::apply(rows, down_weight).view(sizes);
}

}  // namespace zebra
