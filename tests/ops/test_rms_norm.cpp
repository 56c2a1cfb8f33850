#include <torch/csrc/autograd/autograd.h>

#include "ops/rms_norm.h"

#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Tensors = std::vector<torch::Tensor>;

constexpr double kEps = 1e-5;

// The definition, in the inputs' own precision.
NormedResidual definition(const torch::Tensor& x, const torch::Tensor& added,
                          const torch::Tensor& weight, double eps) {
  const auto sum = added.defined() ? x + added : x;
  return {sum, sum / (sum.square().mean(-1, true) + eps).sqrt() * weight};
}

struct NormCase {
  torch::Tensor x, added, weight, d_sum, d_normed;

  NormCase to(torch::ScalarType type) const {
    const auto cast = [&](const torch::Tensor& t) {
      return t.defined() ? t.to(type) : torch::Tensor();
    };
    return {cast(x), cast(added), cast(weight), cast(d_sum), cast(d_normed)};
  }
};

// sum, normed and the gradients of x, added (where there is one) and weight.
template <class Form>
Tensors run_norm(const NormCase& c, const Form& form) {
  const auto leaf = [](const torch::Tensor& t) {
    return t.defined() ? t.detach().clone().set_requires_grad(true) : torch::Tensor();
  };
  const auto x = leaf(c.x), added = leaf(c.added), weight = leaf(c.weight);
  const NormedResidual out = form(x, added, weight, kEps);
  Tensors inputs = {x, weight};
  if (added.defined()) inputs.push_back(added);
  Tensors results = {out.sum.detach(), out.normed.detach()};
  for (auto& gradient :
       torch::autograd::grad({out.sum, out.normed}, inputs, {c.d_sum, c.d_normed})) {
    results.push_back(gradient);
  }
  return results;
}

TEST_CASE("the norm of the residual stream equals the float64 definition, both ways") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const bool adds = GENERATE(true, false);
  const auto width = GENERATE(1, 37, 256, 1000);
  torch::manual_seed(width);
  const std::vector<std::int64_t> sizes = {3, 19, width};
  const NormCase c = NormCase{torch::randn(sizes) * 3, adds ? torch::randn(sizes) : torch::Tensor(),
                              torch::rand({width}) + 0.5, torch::randn(sizes), torch::randn(sizes)}
                         .to(type);
  const auto ours = run_norm(c, residual_rms_norm), naive = run_norm(c, plain_residual_rms_norm),
             exact = run_norm(c.to(torch::kFloat64), definition);
  REQUIRE(ours.size() == exact.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    INFO("result " << i);
    require_as_exact_as_naive(ours[i], naive[i], exact[i]);
  }
  if (adds) REQUIRE(same_bits(ours[2], ours[4]));
}

TEST_CASE("where only one output is used its gradient alone counts") {
  const auto x = torch::randn({5, 8}).set_requires_grad(true),
             weight = torch::ones({8}).set_requires_grad(true);
  const auto d = torch::randn({5, 8});
  const auto both = residual_rms_norm(x, {}, weight, kEps);
  REQUIRE(same_bits(torch::autograd::grad({both.sum}, {x}, {d}, /*retain_graph=*/true)[0], d));
  const auto through_norm = torch::autograd::grad({both.normed}, {x}, {d})[0];
  const auto expected =
      torch::autograd::grad({definition(x, {}, weight, kEps).normed}, {x}, {d})[0];
  require_close(through_norm, expected, 1e-5);
}

TEST_CASE("any strides") {
  const auto x = torch::randn({6, 4, 10}), added = torch::randn({4, 6, 10}).transpose(0, 1),
             weight = torch::rand({10});
  const auto ours = residual_rms_norm(x, added, weight, kEps);
  require_close(ours.normed, definition(x, added, weight, kEps).normed, 1e-5);
  require_close(rms_norm(added, weight, kEps), definition(added, {}, weight, kEps).normed, 1e-5);
}

TEST_CASE("gradients of the norm agree with finite differences") {
  torch::manual_seed(5);
  const auto weight = torch::rand({12}) + 0.5, added = torch::randn({4, 12}),
             direction = torch::randn({4, 12});
  require_directional_derivative(
      [&](const torch::Tensor& x) {
        const auto out = residual_rms_norm(x, added, weight, kEps);
        return ((out.sum + out.normed.square()) * direction).sum();
      },
      torch::randn({4, 12}));
}

}  // namespace
}  // namespace zebra
