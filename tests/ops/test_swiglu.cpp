#include <torch/csrc/autograd/autograd.h>

#include "ops/swiglu.h"

#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

// The result and the gradients of gate_up and the weights.
template <class Form>
std::vector<torch::Tensor> run(const torch::Tensor& gate_up, const torch::Tensor& weight,
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
  const auto ours = run(gate_up, weight, d_out, swiglu_linear),
             naive = run(gate_up, weight, d_out, plain_swiglu_linear),
             exact = run(gate_up.to(torch::kFloat64), weight.to(torch::kFloat64),
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
  const auto results = run(gate_up, torch::eye(5), torch::ones({1, 5}), swiglu_linear);
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
