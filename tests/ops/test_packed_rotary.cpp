#include <torch/csrc/autograd/autograd.h>

#include "ops/packed_rotary.h"

#include "model/sequence_context.h"
#include "support/tensors.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Tensors = std::vector<torch::Tensor>;

RotaryFactors factors(const torch::Tensor& positions, std::int64_t width) {
  ModelConfig model;
  model.head_dim = width;
  return rotary_factors(rotary_frequencies(model, LayerKind::global, 64), positions);
}

RotatedHeads plain(const PackedHeads& packed, const RotaryFactors& rotary) {
  return {apply_rotary(packed.q(), rotary), apply_rotary(packed.k(), rotary), packed.v()};
}

// Results, and the gradient of the packed heads.
template <class Form>
Tensors run(const torch::Tensor& heads, std::int64_t query_heads, const RotaryFactors& rotary,
            const Form& form) {
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
  const auto ours = run(heads, 6, rotary, packed_rotary), expected = run(heads, 6, rotary, plain);
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

}  // namespace
}  // namespace zebra
