#include <torch/csrc/autograd/autograd.h>
#include <torch/library.h>

#include "ops/linear.h"

#include "ops/accumulated_gradient.h"
#include "ops/rms_norm.h"
#include "ops/vocabulary.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

TEST_CASE("a linear projection is LibTorch's, with its gradients") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  torch::manual_seed(1);
  const auto run = [](torch::Tensor x, torch::Tensor weight, const torch::Tensor& d_out,
                      const auto& form) {
    x = x.detach().clone().set_requires_grad(true);
    weight = weight.detach().clone().set_requires_grad(true);
    const auto out = form(x, weight);
    auto results = torch::autograd::grad({out}, {x, weight}, {d_out});
    results.push_back(out.detach());
    return results;
  };
  const auto plain = [](const auto& x, const auto& weight) { return torch::linear(x, weight); };
  const auto x = torch::randn({2, 31, 20}).to(type), weight = torch::randn({7, 20}).to(type),
             d_out = torch::randn({2, 31, 7}).to(type);
  const auto ours = run(x, weight, d_out, linear_projection), naive = run(x, weight, d_out, plain),
             exact = run(x.to(torch::kFloat64), weight.to(torch::kFloat64),
                         d_out.to(torch::kFloat64), plain);
  for (std::size_t i = 0; i < ours.size(); ++i) {
    REQUIRE(ours[i].scalar_type() == type);
    require_as_exact_as_naive(ours[i], naive[i], exact[i]);
  }
}

// A weight as training has it: gradients are added up in a float32 tensor beside it.
torch::Tensor training_weight(at::IntArrayRef sizes, torch::ScalarType type) {
  auto weight = torch::randn(sizes).to(type).set_requires_grad(true);
  weight.mutable_grad() = torch::ones(sizes);
  return weight;
}

TEST_CASE("gradients are added where they are accumulated, and only when asked for") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  torch::manual_seed(4);
  const auto x = torch::randn({9, 6}).to(type);
  const auto tokens = torch::tensor({{1, 3, 3}}, torch::kInt64);
  const auto targets = torch::arange(9, torch::kInt64) % 5;
  struct Operation {
    const char* name;
    torch::Tensor weight;
    std::function<torch::Tensor(const torch::Tensor&)> run;
  };
  const std::vector<Operation> operations = {
      {"linear", training_weight({5, 6}, type),
       [&](const auto& weight) { return linear_projection(x, weight).sum(); }},
      {"swiglu", training_weight({5, 3}, type),
       [&](const auto& weight) { return swiglu_linear(x, weight).sum(); }},
      {"norm", training_weight({6}, type),
       [&](const auto& weight) { return rms_norm(x, weight, 1e-5).square().sum(); }},
      {"embedding", training_weight({4, 6}, type),
       [&](const auto& weight) { return token_embedding(tokens, weight).square().sum(); }},
      {"loss", training_weight({5, 6}, type), [&](const auto& weight) {
         return linear_cross_entropy(x, weight, targets).objective * 0.25;
       }}};
  for (const auto& [name, weight, run] : operations) {
    INFO(name);
    const auto alone = torch::autograd::grad({run(weight)}, {weight})[0].to(torch::kFloat32);
    REQUIRE(same_bits(weight.grad(), torch::ones(weight.sizes())));
    const auto* place = weight.grad().const_data_ptr();
    {
      const GradientAccumulation accumulation;
      run(weight).backward();
    }
    REQUIRE(weight.grad().const_data_ptr() == place);
    const double unit = type == torch::kFloat32 ? 1e-6 : 0x1.0p-8;
    require_close(weight.grad() - 1.0, alone,
                  4.0 * unit * (1.0 + alone.abs().max().item<double>()));
    REQUIRE_FALSE(GradientAccumulation::is_active());
  }
}

struct Factors {
  torch::Tensor a, b;  // [m, k], [k, n]
};

// Sizes beyond a block of widened copies, and strides as a backward pass has them.
Factors make(torch::ScalarType type, bool transposed) {
  torch::manual_seed(2);
  if (transposed) return {torch::randn({701, 90}).t().to(type), torch::randn({701, 33}).to(type)};
  return {torch::randn({1500, 701}).to(type), torch::randn({33, 701}).to(type).t()};
}

TEST_CASE("matrix products are as exact as LibTorch's") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16, torch::kFloat64);
  const auto [a, b] = make(type, GENERATE(false, true));
  const auto exact = torch::mm(a.to(torch::kFloat64), b.to(torch::kFloat64));
  const auto naive = torch::mm(a, b);
  require_as_exact_as_naive(matrix_product(a, b), naive, exact);

  auto out = torch::full({a.size(0), b.size(1)}, std::nan(""), a.options());
  matrix_product_out(out, a, b);
  require_as_exact_as_naive(out, naive, exact);
}

TEST_CASE("products are added to a float32 sum") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const auto [a, b] = make(type, GENERATE(false, true));
  auto sum = torch::full({a.size(0), b.size(1)}, 2.0);
  add_matrix_product(sum, a, b);
  const auto exact = torch::mm(a.to(torch::kFloat64), b.to(torch::kFloat64)) + 2.0;
  // The product may be rounded to its type before it is added.
  require_as_exact_as_naive(sum, torch::mm(a, b).to(torch::kFloat32) + 2.0, exact);
}

at::ScalarType type_of_addition;

torch::Tensor& played_addmm(const torch::Tensor& sum, const torch::Tensor&, const torch::Tensor&,
                            at::ScalarType type, const at::Scalar& beta, const at::Scalar& alpha,
                            torch::Tensor& out) {
  TORCH_CHECK(out.is_same(sum) && beta.to<double>() == 1.0 && alpha.to<double>() == 1.0,
              "not an addition in place");
  type_of_addition = type;
  return out;
}

// cuBLAS adds what it has in float32; only its call is to be seen here, with tensors without data.
TEST_CASE("a GPU's products are not rounded to bfloat16 before they are added") {
  torch::Library library(torch::Library::IMPL, "aten", c10::DispatchKey::Meta, __FILE__, __LINE__);
  library.impl("addmm.dtype_out", played_addmm);
  const auto options = torch::TensorOptions(torch::kMeta);
  auto sum = torch::empty({5, 3}, options);
  const auto a = torch::empty({5, 7}, options.dtype(torch::kBFloat16)),
             b = torch::empty({7, 3}, options.dtype(torch::kBFloat16));
  type_of_addition = at::ScalarType::Undefined;
  add_matrix_product(sum, a, b);
  REQUIRE(type_of_addition == at::ScalarType::Float);
}

TEST_CASE("the same product gives the same bits") {
  const auto [a, b] = make(torch::kBFloat16, false);
  REQUIRE(same_bits(matrix_product(a, b), matrix_product(a, b)));
}

// The result and the gradients of gate_up and the weights.
template <class Form>
std::vector<torch::Tensor> run_swiglu(const torch::Tensor& gate_up, const torch::Tensor& weight,
                                      const torch::Tensor& d_out, const Form& form) {
  const auto g = gate_up.detach().clone().set_requires_grad(true),
             w = weight.detach().clone().set_requires_grad(true);
  const auto out = form(g, w);
  auto results = torch::autograd::grad({out}, {g, w}, {d_out});
  results.push_back(out.detach());
  return results;
}

TEST_CASE("the second half of SwiGLU equals the float64 definition, both ways") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const auto width = GENERATE(1, 45, 704);
  torch::manual_seed(width);
  const auto gate_up = (torch::randn({2, 33, 2 * width}) * 3).to(type),
             weight = (torch::randn({24, width}) * 0.1).to(type),
             d_out = torch::randn({2, 33, 24}).to(type);
  const auto ours = run_swiglu(gate_up, weight, d_out, swiglu_linear),
             naive = run_swiglu(gate_up, weight, d_out, plain_swiglu_linear),
             exact = run_swiglu(gate_up.to(torch::kFloat64), weight.to(torch::kFloat64),
                                d_out.to(torch::kFloat64), plain_swiglu_linear);
  for (std::size_t i = 0; i < ours.size(); ++i) {
    INFO("result " << i);
    REQUIRE(ours[i].scalar_type() == type);
    require_as_exact_as_naive(ours[i], naive[i], exact[i]);
  }
}

TEST_CASE("gates of any size stay finite") {
  const auto gate_up =
      torch::tensor({{-3e38F, -1e4F, -200.0F, 200.0F, 3e37F, 1.0F, 1.0F, 1.0F, 1.0F, 1.0F}});
  const auto results = run_swiglu(gate_up, torch::eye(5), torch::ones({1, 5}), swiglu_linear);
  require_close(results[2], torch::tensor({{0.0F, 0.0F, 0.0F, 200.0F, 3e37F}}), 1e30);
  for (const auto& result : results) REQUIRE(torch::isfinite(result).all().item<bool>());
}

TEST_CASE("gradients of SwiGLU agree with finite differences") {
  torch::manual_seed(6);
  const auto weight = torch::randn({3, 7}), direction = torch::randn({4, 3});
  require_directional_derivative(
      [&](const torch::Tensor& gate_up) {
        return (swiglu_linear(gate_up, weight) * direction).sum();
      },
      torch::randn({4, 14}));
}

}  // namespace
}  // namespace zebra
