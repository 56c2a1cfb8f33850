#include "optim/adamw.h"

#include <cmath>
#include <limits>

#include "optim/schedule.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

// The definition for one element, in float64.
struct ScalarAdamW {
  double weight, m = 0, v = 0;
  int steps = 0;

  void step(double gradient, const OptimizerSection& s, double lr, double decay) {
    ++steps;
    weight -= lr * decay * weight;
    m = s.betas[0] * m + (1 - s.betas[0]) * gradient;
    v = s.betas[1] * v + (1 - s.betas[1]) * gradient * gradient;
    const double m_hat = m / (1 - std::pow(s.betas[0], steps)),
                 v_hat = v / (1 - std::pow(s.betas[1], steps));
    weight -= lr * m_hat / (std::sqrt(v_hat) + s.eps);
  }
};

TEST_CASE("AdamW follows the definition, with decay on the first part only") {
  torch::manual_seed(1);
  OptimizerSection settings;
  settings.weight_decay = 0.3;
  auto weights = torch::randn({128}), gradients = torch::zeros({128});
  std::vector<ScalarAdamW> expected;
  for (int i = 0; i < 128; ++i) expected.push_back({weights[i].item<double>()});
  AdamW optimizer(settings, {{weights, gradients, 64}});
  for (int step = 1; step <= 7; ++step) {
    gradients.copy_(torch::randn({128}));
    const double lr = 0.01 * step;
    optimizer.step(lr);
    for (int i = 0; i < 128; ++i) {
      auto& element = expected[static_cast<std::size_t>(i)];
      element.step(gradients[i].item<double>(), settings, lr, i < 64 ? 0.3 : 0.0);
      REQUIRE(std::abs(weights[i].item<double>() - element.weight) <= 2e-6);
    }
  }
  REQUIRE(optimizer.steps_taken() == 7);
}

TEST_CASE("bfloat16 weights are rounded masters, and small updates are not lost") {
  auto weights = torch::ones({64}, torch::kBFloat16), gradients = torch::ones({64});
  OptimizerSection settings;
  settings.weight_decay = 0.0;
  AdamW optimizer(settings, {{weights, gradients, 64}});
  for (int step = 0; step < 100; ++step)
    optimizer.step(1e-4);  // each is below half an ulp of 1 in bfloat16
  REQUIRE(optimizer.masters(0)[0].item<float>() == Approx(0.99).epsilon(1e-4));
  REQUIRE(weights[0].item<float>() == Approx(0.99).epsilon(0.004));
  REQUIRE(same_bits(weights, optimizer.masters(0).to(torch::kBFloat16)));
}

TEST_CASE("the norm is over all gradients together") {
  const auto norm = [](const std::vector<torch::Tensor>& gradients) {
    return std::sqrt(squared_norm(gradients).item<double>());
  };
  REQUIRE(norm({torch::full({9}, 2.0), torch::full({1}, 8.0)}) == Approx(10.0));
  REQUIRE(std::isnan(norm({torch::ones({3}), torch::full({2}, std::nan(""))})));
}

TEST_CASE("gradients are scaled before they are used") {
  const auto updated = [](double size, double scale) {
    auto weights = torch::ones({64}), gradients = torch::full({64}, size);
    AdamW optimizer({}, {{weights, gradients, 64}});
    optimizer.step(0.1, scale);
    return std::pair(weights, optimizer.second_moments(0));
  };
  // AdamW's first update hardly knows how long gradients are; the second moments do.
  const auto [weights, moments] = updated(3.0, 0.125);
  REQUIRE(same_bits(weights, updated(0.375, 1.0).first));
  REQUIRE(same_bits(moments, updated(0.375, 1.0).second));
  REQUIRE_FALSE(same_bits(moments, updated(3.0, 1.0).second));
}

TEST_CASE("an update that the device decides against changes nothing, and none is counted") {
  auto weights = torch::ones({64}, torch::kBFloat16), gradients = torch::full({64}, 2.0);
  AdamW optimizer({}, {{weights, gradients, 64}});
  optimizer.step(0.1, torch::tensor({1.0F, 0.0F}));
  REQUIRE(same_bits(optimizer.masters(0), torch::ones({64})));
  REQUIRE(same_bits(optimizer.first_moments(0), torch::zeros({64})));
  REQUIRE(optimizer.steps_taken() == 0);
  optimizer.step(0.1, torch::tensor({0.5F, 1.0F}));
  REQUIRE(optimizer.steps_taken() == 0);

  auto others = torch::ones({64}, torch::kBFloat16);
  AdamW expected({}, {{others, gradients, 64}});
  expected.step(0.1, 0.5);
  REQUIRE(same_bits(weights, others));
  REQUIRE(same_bits(optimizer.second_moments(0), expected.second_moments(0)));
}

constexpr double kInfinity = std::numeric_limits<double>::infinity();

torch::Tensor scalar(double value) { return torch::full({}, value, torch::kFloat64); }

TEST_CASE("clipping scales to the limit, and only above it") {
  REQUIRE(clip_scale(10.0, 20.0) == 1.0);
  REQUIRE(clip_scale(10.0, 0.0) == 1.0);
  REQUIRE(clip_scale(10.0, 1.0) == 0.1);
  REQUIRE(clip_scale(0.0, 1.0) == 1.0);
}

TEST_CASE("the device decides as the host would") {
  const double skip_above = GENERATE(0.0, 2.5), limit = GENERATE(0.0, 1.0);
  SkipRule rule(skip_above);
  for (int i = 0; i < 40; ++i) rule.skips(2.0, 1.0 + 0.01 * i);
  for (const double loss : {2.0, std::nan(""), kInfinity}) {
    for (const double norm : {0.0, 0.5, 1.0, 2.9, 3.1, 1e30, std::nan(""), kInfinity}) {
      INFO("loss " << loss << ", norm " << norm);
      const auto decision = update_decision(scalar(loss), scalar(norm), rule.largest_norm(), limit);
      REQUIRE(decision.scalar_type() == torch::kFloat32);
      SkipRule copy(skip_above);
      copy.set_state(rule.state());
      const bool skips = copy.skips(loss, norm);
      REQUIRE(decision[1].item<float>() == (skips ? 0.0F : 1.0F));
      if (skips) continue;
      REQUIRE(decision[0].item<float>() == static_cast<float>(clip_scale(norm, limit)));
    }
  }
}

}  // namespace
}  // namespace zebra
