#include <torch/csrc/autograd/autograd.h>

#include "ops/embedding.h"

#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

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
