#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/functional/loss.h>

#include "ops/vocabulary.h"

#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

struct Result {
  torch::Tensor objective, hidden, weight;
};

// The definition, in the inputs' own precision.
torch::Tensor dense_objective(const torch::Tensor& hidden, const torch::Tensor& weight,
                              const torch::Tensor& targets, double z,
                              const torch::Tensor& target_weights = torch::ones({})) {
  const auto logits = torch::matmul(hidden, weight.t());
  const auto options = torch::nn::functional::CrossEntropyFuncOptions()
                           .ignore_index(kIgnoredTarget)
                           .reduction(torch::kNone);
  const auto log_sum_exp = torch::logsumexp(logits, -1).masked_fill(targets == kIgnoredTarget, 0.0);
  const auto terms =
      torch::nn::functional::cross_entropy(logits, targets, options) + z * log_sum_exp.square();
  return (target_weights * terms).sum();
}

template <class Objective>
Result run_objective(const torch::Tensor& hidden, const torch::Tensor& weight, double scale,
                     const Objective& objective) {
  const auto h = hidden.detach().clone().set_requires_grad(true),
             w = weight.detach().clone().set_requires_grad(true);
  const auto value = objective(h, w);
  const auto gradients = torch::autograd::grad({value * scale}, {h, w});
  return {value.detach(), gradients[0], gradients[1]};
}

void check_cross_entropy(std::int64_t tokens, std::int64_t width, std::int64_t vocabulary,
                         double z_loss) {
  torch::manual_seed(tokens);
  const auto hidden = torch::randn({tokens, width}),
             weight = torch::randn({vocabulary, width}) * 0.3;
  auto targets = torch::randint(vocabulary, {tokens}, torch::kInt64);
  targets.slice(0, 0, tokens, 3).fill_(kIgnoredTarget);
  const double scale = 0.37;
  const auto ours = run_objective(hidden, weight, scale, [&](const auto& h, const auto& w) {
    return linear_cross_entropy(h, w, targets, z_loss).objective;
  });
  const auto dense = [&](const auto& h, const auto& w) {
    return dense_objective(h, w, targets, z_loss);
  };
  const auto naive = run_objective(hidden, weight, scale, dense);
  const auto exact =
      run_objective(hidden.to(torch::kFloat64), weight.to(torch::kFloat64), scale, dense);
  require_as_exact_as_naive(ours.objective, naive.objective, exact.objective);
  require_as_exact_as_naive(ours.hidden, naive.hidden, exact.hidden);
  require_as_exact_as_naive(ours.weight, naive.weight, exact.weight);
}

TEST_CASE("linear cross-entropy equals the float64 definition") {
  const double z_loss = GENERATE(0.0, 1e-3);
  check_cross_entropy(1, 4, 7, z_loss);
  check_cross_entropy(50, 16, 33, z_loss);
  check_cross_entropy(301, 8, 70001, z_loss);  // several chunks, the last one partial
}

TEST_CASE("a chunk is as large as its device is quick") {
  REQUIRE(loss_chunk_tokens(32768, /*on_cpu=*/true) == 256);
  REQUIRE(loss_chunk_tokens(131072, /*on_cpu=*/true) == 64);
  REQUIRE(loss_chunk_tokens(1 << 22, /*on_cpu=*/true) == 16);
  REQUIRE(loss_chunk_tokens(32768, /*on_cpu=*/false) == 4096);
  REQUIRE(loss_chunk_tokens(131072, /*on_cpu=*/false) == 2048);
}

void check_weighted(std::int64_t tokens, std::int64_t vocabulary, torch::ScalarType type,
                    double z_loss) {
  torch::manual_seed(tokens);
  const auto hidden = torch::randn({tokens, 16}).to(type),
             weight = (torch::randn({vocabulary, 16}) * 0.3).to(type);
  auto targets = torch::randint(vocabulary, {tokens}, torch::kInt64);
  targets.slice(0, 1, tokens, 3).fill_(kIgnoredTarget);
  const auto weights = torch::rand({tokens}) * 30.0 + 0.01;
  const auto ours = run_objective(hidden, weight, 0.37, [&](const auto& h, const auto& w) {
    return linear_cross_entropy(h, w, targets, z_loss, weights).objective;
  });
  const auto dense = [&](const auto& h, const auto& w) {
    return dense_objective(h, w, targets, z_loss, weights);
  };
  const auto naive = run_objective(hidden, weight, 0.37, dense);
  const auto exact =
      run_objective(hidden.to(torch::kFloat64), weight.to(torch::kFloat64), 0.37, dense);
  require_as_exact_as_naive(ours.objective, naive.objective, exact.objective);
  require_as_exact_as_naive(ours.hidden, naive.hidden, exact.hidden);
  require_as_exact_as_naive(ours.weight, naive.weight, exact.weight);
}

TEST_CASE("weighted targets equal the float64 definition") {
  const double z_loss = GENERATE(0.0, 1e-3);
  check_weighted(1, 7, torch::kFloat32, z_loss);
  check_weighted(53, 33, torch::kFloat32, z_loss);
  check_weighted(301, 70001, torch::kFloat32, z_loss);  // several chunks, the last one partial
  check_weighted(53, 33, torch::kBFloat16, z_loss);
  check_weighted(301, 70001, torch::kBFloat16, z_loss);
}

TEST_CASE("weights of 1 change no bit") {
  torch::manual_seed(6);
  const auto hidden = torch::randn({37, 8}), weight = torch::randn({45, 8}),
             targets = torch::randint(45, {37}, torch::kInt64);
  const auto with = [&](const torch::Tensor& weights) {
    return run_objective(hidden, weight, 0.21, [&](const auto& h, const auto& w) {
      return linear_cross_entropy(h, w, targets, 1e-3, weights).objective;
    });
  };
  const auto plain = with({}), ones = with(torch::ones({37}));
  REQUIRE(same_bits(ones.objective, plain.objective));
  REQUIRE(same_bits(ones.hidden, plain.hidden));
  REQUIRE(same_bits(ones.weight, plain.weight));
}

TEST_CASE("all targets ignored: zero loss and zero gradients") {
  const auto hidden = torch::randn({5, 4}).set_requires_grad(true),
             weight = torch::randn({9, 4}).set_requires_grad(true);
  const auto sums =
      linear_cross_entropy(hidden, weight, torch::full({5}, kIgnoredTarget, torch::kInt64));
  REQUIRE(sums.objective.item<float>() == 0.0F);
  for (const auto& gradient : torch::autograd::grad({sums.objective}, {hidden, weight})) {
    REQUIRE(gradient.abs().max().item<float>() == 0.0F);
  }
}

TEST_CASE("the z-loss is in the objective, not in the cross-entropy") {
  const auto hidden = torch::randn({5, 4}), weight = torch::randn({9, 4}),
             targets = torch::arange(5, torch::kInt64);
  const auto without = linear_cross_entropy(hidden, weight, targets),
             with = linear_cross_entropy(hidden, weight, targets, 0.1);
  REQUIRE(same_bits(without.objective, with.cross_entropy));
  REQUIRE(with.objective.item<float>() > with.cross_entropy.item<float>());
}

TEST_CASE("per-token losses add up to the sum") {
  const auto hidden = torch::randn({40, 8}), weight = torch::randn({60000, 8});
  auto targets = torch::randint(60000, {40}, torch::kInt64);
  targets[7] = kIgnoredTarget;
  const auto losses = token_cross_entropy(hidden, weight, targets);
  REQUIRE(losses[7].item<float>() == 0.0F);
  require_close(losses.sum(), linear_cross_entropy(hidden, weight, targets).cross_entropy, 1e-2);
}

TEST_CASE("linear cross-entropy gradients agree with finite differences") {
  torch::manual_seed(3);
  const auto weight = torch::randn({11, 6}),
             targets = torch::tensor({1, 10, -100, 4}, torch::kInt64);
  require_directional_derivative(
      [&](const torch::Tensor& hidden) {
        return linear_cross_entropy(hidden, weight, targets, 1e-2).objective;
      },
      torch::randn({4, 6}));
}

TEST_CASE("bfloat16 gradients keep their type and stay near the exact ones") {
  torch::manual_seed(4);
  const auto hidden = torch::randn({64, 32}).to(torch::kBFloat16),
             weight = (torch::randn({50, 32}) * 0.2).to(torch::kBFloat16);
  const auto targets = torch::randint(50, {64}, torch::kInt64);
  const auto ours = run_objective(hidden, weight, 1.0, [&](const auto& h, const auto& w) {
    return linear_cross_entropy(h, w, targets).objective;
  });
  const auto dense = [&](const auto& h, const auto& w) {
    return dense_objective(h, w, targets, 0.0);
  };
  const auto naive = run_objective(hidden, weight, 1.0, dense);
  const auto exact =
      run_objective(hidden.to(torch::kFloat64), weight.to(torch::kFloat64), 1.0, dense);
  REQUIRE(ours.hidden.scalar_type() == torch::kBFloat16);
  require_as_exact_as_naive(ours.hidden, naive.hidden, exact.hidden);
  require_as_exact_as_naive(ours.weight, naive.weight, exact.weight);
}

TEST_CASE("embedding picks rows and adds up their gradients") {
  const auto weight = torch::randn({7, 3}).set_requires_grad(true);
  const auto tokens = torch::tensor({{0, 6, 6}, {2, 0, 6}}, torch::kInt64);
  const auto out = token_embedding(tokens, weight);
  REQUIRE(same_bits(out.detach()[0][1], weight.detach()[6]));
  const auto out_gradient = torch::randn({2, 3, 3});
  const auto gradient = torch::autograd::grad({out}, {weight}, {out_gradient})[0];
  auto expected = torch::zeros({7, 3});
  for (int b = 0; b < 2; ++b) {
    for (int t = 0; t < 3; ++t) expected[tokens[b][t].item<std::int64_t>()] += out_gradient[b][t];
  }
  require_close(gradient, expected, 1e-6);
}

TEST_CASE("a bfloat16 embedding does not lose the gradients of a frequent token") {
  const auto weight = torch::zeros({2, 1}, torch::kBFloat16).set_requires_grad(true);
  const auto tokens = torch::ones({1, 4096}, torch::kInt64);
  const auto out_gradient = torch::ones({1, 4096, 1}, torch::kBFloat16);
  const auto gradient =
      torch::autograd::grad({token_embedding(tokens, weight)}, {weight}, {out_gradient})[0];
  REQUIRE(gradient[1].item<float>() == 4096.0F);  // a bfloat16 sum would stop at 256
}

}  // namespace
}  // namespace zebra
