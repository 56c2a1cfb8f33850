#include <torch/csrc/autograd/autograd.h>

#include "ops/linear.h"

#include "ops/accumulated_gradient.h"
#include "ops/embedding.h"
#include "ops/linear_cross_entropy.h"
#include "ops/rms_norm.h"
#include "ops/swiglu.h"
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

}  // namespace
}  // namespace zebra
