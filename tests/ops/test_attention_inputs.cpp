#include <torch/csrc/autograd/autograd.h>

#include "ops/attention_inputs.h"

#include "model/sequence_context.h"
#include "support/attention_reference.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;

RotaryFactors factors(const torch::Tensor& positions, std::int64_t width) {
  ModelSection model;
  model.head_dim = width;
  return rotary_factors(rotary_frequencies(model, LayerKind::local, 64), positions);
}

RotaryFactors factors(std::int64_t length, std::int64_t width) {
  return factors(torch::arange(length, torch::kInt64), width);
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

using Tensors = std::vector<torch::Tensor>;

RotatedHeads plain(const PackedHeads& packed, const RotaryFactors& rotary) {
  return {apply_rotary(packed.q(), rotary), apply_rotary(packed.k(), rotary), packed.v()};
}

// Results, and the gradient of the packed heads.
template <class Form>
Tensors run_packed(const torch::Tensor& heads, std::int64_t query_heads,
                   const RotaryFactors& rotary, const Form& form) {
  const auto leaf = heads.detach().clone().set_requires_grad(true);
  const auto [q, k, v] = form(PackedHeads{leaf, query_heads}, rotary);
  torch::manual_seed(7);
  Tensors gradients;
  for (const auto& out : {q, k, v}) gradients.push_back(torch::randn_like(out));
  const auto of_heads = torch::autograd::grad({q, k, v}, {leaf}, gradients)[0];
  return {q.detach(), k.detach(), v.detach(), of_heads};
}

TEST_CASE("packed heads are rotated as queries and keys alone are, both ways") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const bool by_sequence = GENERATE(false, true);
  const auto width = GENERATE(2, 10, 64);
  torch::manual_seed(3);
  const auto heads = torch::randn({2, 19, 6 + 2 * 2, width}).to(type);
  const auto positions =
      by_sequence ? torch::randint(64, {2, 19}, torch::kInt64) : torch::arange(19, torch::kInt64);
  const auto rotary = factors(positions, width);
  const auto ours = run_packed(heads, 6, rotary, packed_rotary),
             expected = run_packed(heads, 6, rotary, plain);
  const double unit = type == torch::kFloat32 ? 1e-6 : 0x1.0p-7;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    REQUIRE(ours[i].scalar_type() == type);
    require_close(ours[i], expected[i], 8.0 * unit);
  }
}

TEST_CASE("without factors the packed heads pass unchanged") {
  const PackedHeads packed = {torch::randn({1, 3, 4, 8}), 2};
  const auto [q, k, v] = packed_rotary(packed, {});
  REQUIRE(same_bits(q, packed.q()));
  REQUIRE(same_bits(k, packed.k()));
  REQUIRE(same_bits(v, packed.v()));
}

TEST_CASE("first tokens and lengths from document starts") {
  const auto documents = PackedDocuments::from_starts({{2, 3}, {}, {4}}, 5);
  REQUIRE(documents.is_packed());
  const auto expected =
      torch::tensor({{0, 0, 2, 3, 3}, {0, 0, 0, 0, 0}, {0, 0, 0, 0, 4}}, torch::kInt64);
  REQUIRE(same_bits(documents.first_token, expected));
  REQUIRE(documents.lengths == std::vector<std::int64_t>{2, 1, 2, 5, 4, 1});
}

TEST_CASE("starts that do not ascend within the sequence are refused") {
  REQUIRE_THROWS_AS(PackedDocuments::from_starts({{3, 3}}, 5), c10::Error);
  REQUIRE_THROWS_AS(PackedDocuments::from_starts({{0}}, 5), c10::Error);
  REQUIRE_THROWS_AS(PackedDocuments::from_starts({{5}}, 5), c10::Error);
}

}  // namespace
}  // namespace zebra
