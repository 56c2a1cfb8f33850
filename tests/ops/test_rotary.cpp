#include <torch/csrc/autograd/autograd.h>

#include "ops/rotary.h"

#include "model/sequence_context.h"
#include "support/attention_reference.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

RotaryFactors factors(std::int64_t length, std::int64_t width) {
  ModelConfig model;
  model.head_dim = width;
  return rotary_factors(rotary_frequencies(model, LayerKind::local, length),
                        torch::arange(length, torch::kInt64));
}

TEST_CASE("rotary embedding is a complex multiplication") {
  const auto x = torch::randn({2, 37, 3, 10});
  const auto positions = torch::arange(37, torch::kInt64).expand({2, 37});
  require_close(apply_rotary(x, factors(37, 10)),
                rotate_by_complex(x.to(torch::kFloat64), positions, 10000.0), 2e-6);
}

TEST_CASE("the gradient of a rotation is the opposite rotation") {
  const auto x = torch::randn({1, 9, 2, 6}).set_requires_grad(true);
  const auto rotary = factors(9, 6);
  const auto out_gradient = torch::randn({1, 9, 2, 6});
  const auto gradient = torch::autograd::grad({apply_rotary(x, rotary)}, {x}, {out_gradient})[0];
  require_close(apply_rotary(gradient, rotary), out_gradient, 1e-6);
}

TEST_CASE("scores depend on the distance alone") {
  const auto q = torch::randn({1, 1, 1, 16}), k = torch::randn({1, 1, 1, 16});
  const auto rotary = factors(64, 16);
  const auto at = [&](const torch::Tensor& x, std::int64_t position) {
    return apply_rotary(x, {rotary.cos.narrow(0, position, 1), rotary.sin.narrow(0, position, 1)});
  };
  require_close((at(q, 13) * at(k, 4)).sum(), (at(q, 59) * at(k, 50)).sum(), 1e-4);
}

TEST_CASE("without factors x passes unchanged") {
  const auto x = torch::randn({1, 3, 1, 4});
  REQUIRE(apply_rotary(x, {}).is_same(x));
}

TEST_CASE("factors that do not fit are refused") {
  REQUIRE_THROWS_AS(apply_rotary(torch::randn({1, 4, 1, 16}), factors(3, 16)), c10::Error);
  REQUIRE_THROWS_AS(apply_rotary(torch::randn({1, 3, 1, 8}), factors(3, 16)), c10::Error);
}

}  // namespace
}  // namespace zebra
